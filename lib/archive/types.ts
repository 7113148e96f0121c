/**
 * The words that the writing and the reading half of this room share.
 *
 * Types only, no logic. What a word means on disk is said where it is encoded:
 * the mark in `archive-mark.ts`, a member in `tar-writer.ts` and `tar-reader.ts`.
 */

import type { Checkpoints } from './metadata.ts'

/**
 * What made an archive. It stands in the comment of the pax global header that opens every archive of ours.
 *
 * `entries` and `bytes` are there only when they were known before the first byte left, as for a directory.
 */
export interface ArchiveMark {
  /** Program and version, `kv-backup-agent/0.1.0`. */
  readonly product: string
  /** `directory`, `mariadb-backup` or `xtrabackup`. */
  readonly engine: string
  readonly engineVersion: string
  /** Members of the archive, directories included. */
  readonly entries?: number
  /** Sum of the sizes of all members, without headers and padding. */
  readonly bytes?: number
}

/**
 * Memory that is used again when every byte of it has come back.
 *
 * `lend` says how much of a buffer is out; views of it are given back by whoever looked at them last, each once.
 */
export interface ReusedMemory {
  /** Of any size, from a block of an archive on. */
  take(): Buffer
  lend(buffer: Buffer, bytes: number): Buffer
  takeBack(views: readonly Buffer[]): void
}

/** One file or directory on its way into an archive. */
export interface ArchiveEntry {
  readonly path: string
  readonly type: 'file' | 'directory'
  readonly sizeBytes: number
  /** Permission bits, `0o640`. */
  readonly mode: number
  readonly mtimeMs: number
  readonly uid: number
  readonly gid: number
  readonly uname?: string
  readonly gname?: string
  /** The bytes, exactly `sizeBytes` of them. Called once at most, and not for a directory. */
  body(): AsyncIterable<Buffer>
}

/** A file that came out shorter than announced, and how many zero bytes were written for the rest. */
export interface PaddedMember {
  readonly path: string
  readonly zeroBytes: number
}

/**
 * Which of the files that an engine writes beside the data are members at top level, by their names.
 *
 * An engine writes the first three last, so they are how a backup that stopped early is told from a whole one.
 */
export interface MetadataFound {
  /** `xtrabackup_checkpoints` or `mariadb_backup_checkpoints`. */
  readonly checkpoints: string | undefined
  /** `xtrabackup_info` or `mariadb_backup_info`. */
  readonly info: string | undefined
  /** `backup-my.cnf`. */
  readonly configuration: string | undefined
  /** `ib_logfile0` or `xtrabackup_logfile`. */
  readonly redoLog: string | undefined
}

/** What was written, known when the last byte of the last member has been produced. */
export interface TarSummary {
  readonly members: number
  /** Bytes of the archive so far: everything but its end. */
  readonly archiveBytes: number
  /** Sum of the sizes of all members, without headers and padding. */
  readonly contentBytes: number
  /** Bytes of the xbstream that was read; absent when the source was files. */
  readonly xbstreamBytes?: number
  readonly padded: readonly PaddedMember[]
  readonly metadata: MetadataFound
  /** What the file of that name says; absent when there is none. */
  readonly checkpoints?: Checkpoints | undefined
  /** The most memory that files took which had to wait. */
  readonly peakMemoryBytes: number
  /** The most disk that was in use in the spool. */
  readonly peakSpoolBytes: number
  /** All that was written to the spool, in sum. */
  readonly spooledBytes: number
}
