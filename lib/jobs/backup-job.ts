/**
 * One backup, from admission to its final state. Knows nothing of the wire protocol.
 *
 *     const job = new BackupJob(order)
 *     await job.start()                      // the engine runs, the first byte is there
 *     for await (const burst of job.wire())  // ends only when the backup is complete
 *       …
 *     job.finish()                           // the last byte is out
 *
 * There is one way to stop it, `cancel`, and it stops everything: the engine's process
 * group, the spool, the archive. Whoever drives the job calls `finish` or `fail` once;
 * the lease is released only after the engine is gone.
 */

import type { ArchiveMark, MetadataFound, SpoolSettings, TarSummary } from '../archive/index.ts'
import type { Encoder } from '../encodings/index.ts'
import type { Engine, EngineOutcome, EngineRun } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { withFirstChunk } from '../flow/index.ts'
import type { Logger } from '../log/index.ts'
import type { Lease } from './admission.ts'
import { checkStep, isFinal, type JobState } from './job-state.ts'
import { type PipelineSource, toWire } from './pipeline.ts'
import { decideVerdict } from './verdict.ts'

export interface BackupOrder {
  readonly sid: string
  readonly engine: Engine
  readonly lease: Lease
  /** Name of the product, as the archive's mark carries it. */
  readonly product: string
  readonly user?: string | undefined
  readonly password?: string | undefined
  readonly encoder: Encoder
  /** Raw bytes in one read of the client. */
  readonly blockBytes: number
  readonly memoryBytes: number
  readonly spool: SpoolSettings
  readonly log: Logger
  /** A monotonic clock, milliseconds. */
  readonly nowMs: () => number
  /** Resolves after so many milliseconds, or soon after the signal aborts. Never rejects. */
  readonly wait: (milliseconds: number, signal: AbortSignal) => Promise<void>
  /** Wall clock at the start, milliseconds since the epoch: the label on members without a time of their own. */
  readonly wallClockMs: number
}

/** What a person may be shown while the job runs. */
export interface JobProgress {
  readonly state: JobState
  readonly stage: string
  readonly members: number
  /** Bytes of the archive so far, before encoding. */
  readonly archiveBytes: number
  /** Bytes handed to the wire so far. */
  readonly wireBytes: number
  readonly seconds: number
}

export class BackupJob {
  readonly #order: BackupOrder
  readonly #log: Logger
  readonly #abort = new AbortController()
  readonly #startedMs: number
  #state: JobState = 'queued'
  #cancelled: BackupError | undefined
  #run: EngineRun | undefined
  #source: PipelineSource | undefined
  #summary: TarSummary | undefined
  #outcome: EngineOutcome | undefined
  #members = 0
  #archiveBytes = 0
  #wireBytes = 0

  constructor(order: BackupOrder) {
    this.#order = order
    this.#log = order.log.child({ sid: order.sid })
    this.#startedMs = order.nowMs()
  }

  get state(): JobState {
    return this.#state
  }

  /** Aborts when the job is cancelled, with the reason. Whatever waits on the job's behalf listens to it. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  get sid(): string {
    return this.#order.sid
  }

  progress(): JobProgress {
    return {
      state: this.#state,
      stage: this.#run?.progress().stage ?? 'starting',
      members: this.#members,
      archiveBytes: this.#archiveBytes,
      wireBytes: this.#wireBytes,
      seconds: this.#seconds(),
    }
  }

  /**
   * Starts the engine and waits for the first bytes of the backup: login, options and
   * locks of the start have worked then.
   *
   * @throws BackupError why there is no backup; the engine is gone by then
   */
  async start(): Promise<void> {
    const { engine, user, password } = this.#order
    this.#step('starting')
    this.#log.info({ engine: engine.identity.name, version: engine.identity.version }, 'backup starting')
    const run = await engine.start({
      ...(user === undefined ? {} : { user }),
      ...(password === undefined ? {} : { password }),
      signal: this.#abort.signal,
      log: this.#log,
    })
    this.#run = run
    this.#source = await this.#firstBytes(run)
    this.#step('streaming')
  }

  async #firstBytes(run: EngineRun): Promise<PipelineSource> {
    if (run.kind === 'files') return { run }
    const output = await withFirstChunk(run.output).catch((error: unknown) => {
      throw this.#cancelled ?? error
    })
    if (output !== undefined) return { run, output }
    const outcome = await run.settled
    throw (
      this.#cancelled ??
      outcome.failure ??
      new BackupError('ENGINE_NO_OUTPUT', 'the backup program ended before its first byte', {
        exitCode: outcome.exitCode ?? null,
        lastLines: outcome.lastLines,
      })
    )
  }

  /**
   * The backup, encoded for the wire, in bursts that leave in one write each. Returns after the last byte of a complete backup; throws otherwise.
   *
   * @throws BackupError the first fact that makes the backup incomplete
   */
  async *wire(): AsyncGenerator<Buffer[]> {
    const { encoder, blockBytes, wait, memoryBytes, spool, wallClockMs } = this.#order
    const source = this.#source
    if (source === undefined) throw new Error('bug: wire() before start()')
    const bursts = toWire(source, {
      mark: this.#mark(source.run),
      encoder,
      blockBytes,
      wait,
      memoryBytes,
      spool,
      mtimeMs: wallClockMs,
      signal: this.#abort.signal,
      settle: () => this.#settle(source.run),
      decide: (summary, encodedBytes) => this.#decide(source.run, summary, encodedBytes),
      onMember: (path, sizeBytes) => {
        this.#members += 1
        this.#log.trace({ path, sizeBytes }, 'member')
      },
      onArchiveBytes: (length) => {
        this.#archiveBytes += length
      },
      onQuiet: (reserveBytes) => {
        const { stage } = source.run.progress()
        this.#log.info({ stage, reserveBytes }, 'the backup program is quiet: sending from the reserve')
      },
    })
    try {
      for await (const burst of bursts) {
        for (const bytes of burst) this.#wireBytes += bytes.length
        yield burst
      }
    } catch (error) {
      throw await this.#cause(source.run, error)
    }
  }

  /** The last byte is out: the backup is complete. Only `#decide` lets a job get this far. */
  finish(): void {
    this.#step('complete')
    this.#log.info(
      { ...this.#figures(), coordinates: this.#outcome?.coordinates, lsn: this.#outcome?.lsn },
      'backup complete',
    )
  }

  /** Ends the job as failed or cancelled, waits until the engine is gone. Idempotent, never throws. */
  async fail(error: unknown): Promise<void> {
    if (!isFinal(this.#state)) this.#step(this.#cancelled === undefined ? 'failed' : 'cancelled')
    this.#abort.abort()
    await this.#run?.settled
    const { code, message, facts, hint } =
      error instanceof BackupError ? error : { code: 'BUG', message: String(error), facts: {}, hint: undefined }
    this.#log.error(
      { ...this.#figures(), code, facts, hint, err: error instanceof BackupError ? undefined : error },
      message,
    )
  }

  /** Gives the server back to the next job. The driver calls it last, whatever happened. */
  async close(): Promise<void> {
    this.#abort.abort()
    await this.#run?.settled
    this.#order.lease.release()
  }

  /** Stops everything the job has started. The first reason is the one that counts. */
  cancel(reason: BackupError): void {
    if (isFinal(this.#state)) return
    this.#cancelled ??= reason
    this.#abort.abort(reason)
  }

  async #settle(run: EngineRun): Promise<void> {
    this.#step('settling')
    this.#outcome = await run.settled
  }

  #decide(run: EngineRun, summary: TarSummary, encodedBytes: number): void {
    const outcome = this.#outcome
    if (outcome === undefined) throw new Error('bug: a verdict before the engine is gone')
    this.#summary = summary
    const verdict = decideVerdict({
      exitCode: outcome.exitCode,
      signal: outcome.signal,
      saidOk: outcome.saidOk,
      engineFailure: outcome.failure,
      cancelled: this.#cancelled,
      members: summary.members,
      // Plain files come with no such witness: the engine has counted them beforehand instead.
      metadataMissing: run.kind === 'xbstream' ? missing(summary.metadata) : [],
      archiveBytes: summary.archiveBytes + END_OF_ARCHIVE_BYTES,
      encodedBytes,
    })
    if (!verdict.complete) throw verdict.failure
  }

  /**
   * What really went wrong, when the archive room threw.
   *
   * A killed engine shows up first as a stream that stops in the middle; the engine's
   * own last words say why. So they are waited for, and the stream's complaint is the
   * answer only when the engine has none.
   */
  async #cause(run: EngineRun, error: unknown): Promise<unknown> {
    if (this.#cancelled !== undefined) return this.#cancelled
    const cutByEngine = error instanceof BackupError && CUT_BY_ENGINE.has(error.code)
    if (!cutByEngine) return error
    const outcome = await run.settled
    return this.#cancelled ?? outcome.failure ?? error
  }

  #mark(run: EngineRun): ArchiveMark {
    const { product, engine } = this.#order
    const mark = { product, engine: engine.identity.name, engineVersion: engine.identity.version }
    return run.kind === 'files' ? { ...mark, ...run.totals } : mark
  }

  #figures(): Record<string, unknown> {
    return {
      members: this.#members,
      archiveBytes: this.#archiveBytes,
      wireBytes: this.#wireBytes,
      padded: this.#summary?.padded,
      seconds: this.#seconds(),
    }
  }

  #seconds(): number {
    return Math.round(this.#order.nowMs() - this.#startedMs) / 1000
  }

  #step(to: JobState): void {
    this.#state = checkStep(this.#state, to)
    this.#log.debug({ state: to }, 'job state')
  }
}

/** Two blocks of zeros: POSIX ustar. */
const END_OF_ARCHIVE_BYTES = 1024

/** What is missing, in words a DBA can look for. */
const missing = ({ checkpoints, info, configuration, redoLog }: MetadataFound): string[] => [
  ...(checkpoints === undefined ? ['xtrabackup_checkpoints'] : []),
  ...(info === undefined ? ['xtrabackup_info'] : []),
  ...(configuration === undefined ? ['backup-my.cnf'] : []),
  ...(redoLog === undefined ? ['the redo log'] : []),
]

/** Complaints of the archive room that an engine causes by dying. */
const CUT_BY_ENGINE: ReadonlySet<string> = new Set(['XBSTREAM_TRUNCATED', 'XBSTREAM_FILE_OPEN'])
