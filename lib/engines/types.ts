/**
 * The words of the room `engines`: what an engine is, how it is started, what it hands over, how it ended.
 *
 * Types only. An engine is started once per backup; whoever starts it reads what it
 * hands over and then asks `settled` how it went. End of output is not success.
 */

import type { ArchiveEntry } from '../archive/index.ts'
import type { BackupError } from '../errors/index.ts'
import type { LentBuffers } from '../flow/index.ts'

export type EngineName = 'mariadb-backup' | 'xtrabackup' | 'directory'

/** Which engine it is, as the log, the answer and the archive's mark say it. */
export interface EngineIdentity {
  /** `binary-logs` is chosen by the request, never by the operator. */
  readonly name: EngineName | 'binary-logs'
  /** Version of the program, `10.11.19`; for `directory` and `binary-logs`, which have no program, `1`. */
  readonly version: string
  /** Absolute path of the program, or `undefined` where there is none. */
  readonly program: string | undefined
}

/** What the operator decided about the engine. */
export interface EngineSettings {
  /** `auto`: a given `directory` is taken; else mariadb-backup, else xtrabackup, whichever is installed. */
  readonly engine: EngineName | 'auto'
  /** Data directory of a stopped server, or a snapshot of one. */
  readonly directory?: string | undefined
  /** Unix socket of the server. */
  readonly socket?: string | undefined
  /** Option file of the operator, read before ours. Without it no option file of the host is read. */
  readonly defaultsFile?: string | undefined
  readonly datadir?: string | undefined
  /** Private 0700 directory for short-lived files. */
  readonly runtimeDirectory: string
  /** Where programs are looked for, in the form of `PATH`; without it the agent's own `PATH`. */
  readonly searchPath?: string | undefined
  /**
   * Where the lock of a server is when its data directory is not known: see `server-lock.ts`. The agents that
   * share it never back up one server at the same time.
   */
  readonly lockDirectory?: string | undefined
}

/** Given to an engine for one backup. */
export interface EngineOrder {
  readonly user?: string | undefined
  readonly password?: string | undefined
  /** Copy only the pages that have changed since this log sequence number. Not for the engine `directory`. */
  readonly incrementalLsn?: string | undefined
  /**
   * More options for the program, from the operator: each begins with `--`, and none is one that the engine gives
   * itself (config/option-set.ts). The engine's own come last, and win.
   */
  readonly extraArgs?: readonly string[] | undefined
  /** Ends the backup: its child's whole process group, or the reading of the directory. */
  readonly signal: AbortSignal
  readonly log: EngineLog
}

/** The part of a pino logger that this room needs. */
export interface EngineLog {
  debug(facts: object, message: string): void
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
}

export interface Engine {
  readonly identity: EngineIdentity
  /** Whether a backup needs a user of the database. */
  readonly needsLogin: boolean
  /**
   * Names the data directory that it backs up, see `data-identity.ts`; absent where the engine has no server.
   *
   * @param said where the server says that it is, if it was asked
   */
  dataIdentity?(said: string | undefined): Promise<string | undefined>
  /**
   * Starts one backup.
   *
   * @throws BackupError when nothing could be started; everything later is told by `settled`
   */
  start(order: EngineOrder): Promise<EngineRun>
}

/** Where a running engine is. */
export interface EngineProgress {
  /** `connecting`, then the stages in the engine's own words (`START`, `FLUSH`, `BLOCK_DDL`, `BLOCK_COMMIT`, `END`), at last `done`. */
  readonly stage: string
  /** Files begun so far. */
  readonly files: number
  readonly lastFile: string | undefined
  /** Whether other clients of the server wait for us: a write, a DDL or a commit, by the stage. Every second of it counts. */
  readonly locked: boolean
  /** Whether we wait for other clients: that lasts as long as somebody's ALTER TABLE, and is no sign of trouble. */
  readonly waitingForLock: boolean
  /** Lines on stderr so far: a sign of life when no byte comes. */
  readonly words: number
}

/** Where the server's binary log stood at the instant the backup shows. */
export interface BinlogCoordinates {
  readonly binlogFile?: string
  readonly binlogPosition?: number
  readonly gtid?: string
}

/** Log sequence numbers, as decimal text: they pass 2^53. */
export interface LogSequenceNumbers {
  /** The base of the next incremental backup. */
  readonly checkpoint?: string
  /** The redo log was copied from here … */
  readonly from?: string
  /** … to here. */
  readonly to?: string
}

/** How an engine ended. */
export interface EngineOutcome {
  readonly exitCode: number | undefined
  readonly signal: string | undefined
  /** Whether `completed OK!` ended its words. An engine without a program says so by having read everything unchanged. */
  readonly saidOk: boolean
  /** `undefined` only for a success. */
  readonly failure: BackupError | undefined
  readonly coordinates: BinlogCoordinates
  readonly lsn: LogSequenceNumbers
  /** The end of stderr, at most 64 KiB, redacted. */
  readonly lastLines: readonly string[]
  readonly stderrBytes: number
}

interface Running {
  progress(): EngineProgress
  /** An estimate of the bytes that will be copied, redo log excluded; `undefined` while, or where, there is none. */
  totalBytes(): number | undefined
  /** Never rejects. Resolves when the child is reaped and its output closed, or the directory is let go of. */
  readonly settled: Promise<EngineOutcome>
}

/** A running program that writes an xbstream. */
export interface XbstreamRun extends Running {
  readonly kind: 'xbstream'
  /** Standard output of the child. Read it, or cancel: the child waits for its reader. */
  readonly output: AsyncIterable<Buffer>
  /** To be given views of `output` that nobody looks at any more, each once; never necessary. Undefined: nothing is used again. */
  readonly buffers: LentBuffers | undefined
  /** Bytes of a file the child holds open at this moment, by the name it has in the stream. */
  sizeOf(path: string): number | undefined
  /** Likewise; undefined also when somebody has written to it in the last seconds. */
  restingSizeOf(path: string): number | undefined
  /**
   * Size of the server's redo log. The server overwrites what lies further back, copied or not. `undefined` until it
   * is seen, and where it is no `ib_logfile0` (MySQL 8.0.30 and later).
   */
  redoCapacityBytes(): number | undefined
  /** The name that the copied redo log has in the stream. */
  readonly redoLogName: string
  /** Also the id of its process group. */
  readonly pid: number
}

/** Files read by ourselves. */
export interface FilesRun extends Running {
  readonly kind: 'files'
  readonly entries: AsyncIterable<ArchiveEntry>
  /** Known before the first byte: members, directories included, and the sum of their sizes. */
  readonly totals: { readonly entries: number; readonly bytes: number }
}

export type EngineRun = XbstreamRun | FilesRun
