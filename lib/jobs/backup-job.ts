/**
 * One backup, from admission to its final state. Knows nothing of the wire protocol.
 *
 *     const job = new BackupJob(order)
 *     await job.begin()                      // remembered on the disk; nothing runs yet
 *     await job.start()                      // the engine runs, the first byte is there
 *     for await (const burst of job.wire())  // or job.archive(); ends only when the backup is complete
 *       …
 *     job.finish()                           // the last byte is out
 *     await job.close(outcome)               // remembered how it ended
 *
 * There is one way to stop it, `cancel`, and it stops everything: the process groups of engine
 * and compressor, the spill, the spool, the archive. Whoever drives the job calls `finish` or `fail`
 * once; the lease is released only after the engine is gone.
 */

import type { ArchiveMark, MetadataFound, TarSummary } from '../archive/index.ts'
import type { Encoder } from '../encodings/index.ts'
import {
  compressorFailure,
  type EngineOutcome,
  type EngineRun,
  type Filter,
  type FilterEnd,
  startCompressor,
} from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { ByteMeter, SideDigest, withFirstChunk } from '../flow/index.ts'
import type { JobEnd, Outcome } from '../history/index.ts'
import type { Logger } from '../log/index.ts'
import { AwakeClock } from './awake-clock.ts'
import type { BackupOrder, BackupResult, JobProgress } from './backup-order.ts'
import { incrementRange } from './increment-verdict.ts'
import { CompressorWatch } from './compressor-watch.ts'
import { JobSpill } from './job-spill.ts'
import { checkStep, isFinal, type JobState } from './job-state.ts'
import { toPackedArchive, toPackedWire } from './packed-pipeline.ts'
import { type PipelineOptions, type PipelineSource, takeBack, toArchive, toWire } from './pipeline.ts'
import { decideVerdict } from './verdict.ts'
import { Watchdogs } from './watchdogs.ts'

/** How often things are looked at. A limit of seconds is kept to a quarter of one. */
const LOOK_MS = 250

export class BackupJob {
  readonly #order: BackupOrder
  readonly #log: Logger
  readonly #abort = new AbortController()
  readonly #ended = new AbortController()
  readonly #startedMs: number
  readonly #spill: JobSpill
  readonly #sent: ByteMeter
  readonly #digest = new SideDigest()
  #state: JobState = 'queued'
  #stopped: { readonly reason: BackupError; readonly state: 'failed' | 'cancelled' } | undefined
  #isRemembered = false
  #run: EngineRun | undefined
  #source: PipelineSource | undefined
  #outcome: EngineOutcome | undefined
  #compressor: Filter | undefined
  #compressorEnd: FilterEnd | undefined
  #made: TarSummary | undefined
  #result: BackupResult | undefined
  #failure: BackupError | undefined
  #members = 0
  #engineBytes = 0
  #archiveBytes = 0
  #isPlain = false
  #isPending = false // something was handed out and has not left yet
  #closing: Promise<void> | undefined
  #close: () => void = () => {}
  /** Resolves when every trace of the job is gone: engine, locks, lease; and its end is remembered. */
  readonly closed: Promise<void>

  constructor(order: BackupOrder) {
    this.#order = order
    this.#log = order.log.child({ sid: order.sid, job: order.job })
    this.#startedMs = order.nowMs()
    this.#sent = new ByteMeter(order.nowMs)
    this.#spill = new JobSpill(order.spill, order.nowMs, {
      log: this.#log,
      stage: () => this.#run?.progress().stage,
      slowOne: () =>
        this.#compressor === undefined ? 'the receiver' : `the receiver, or the compressor ${this.#compressor.name},`,
      onStored: (pushed) => {
        if (this.#source !== undefined) takeBack(this.#source, this.#spill.spill, pushed)
      },
    })
    this.closed = new Promise((resolve) => {
      this.#close = resolve
    })
  }

  get state(): JobState {
    return this.#state
  }

  /** Aborts when the job is stopped, with the reason. Whatever waits on the job's behalf listens to it. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  get id(): string {
    return this.#order.job
  }

  get order(): BackupOrder {
    return this.#order
  }

  /** Known from the verdict on, for a complete backup alone. */
  get result(): BackupResult | undefined {
    return this.#result
  }

  /**
   * Whether the verdict was good and the end is on its way to a client that sees no trailer. From then on such a
   * backup is complete for whoever gets the last byte: nobody may call it anything else.
   */
  get isLettingGo(): boolean {
    return this.#isPlain && this.#result !== undefined
  }

  /** How the engine ended, once it has. */
  get engineOutcome(): EngineOutcome | undefined {
    return this.#outcome
  }

  progress(): JobProgress {
    const engine = this.#run?.progress()
    const sentBytes = this.#sent.bytes
    return {
      state: this.#state,
      stage: this.#outcome !== undefined && !isFinal(this.#state) ? 'sending' : (engine?.stage ?? 'starting'),
      members: this.#members,
      archiveBytes: this.#archiveBytes,
      sentBytes,
      spilledBytes: this.#spill.spill.state.diskBytes,
      ...this.#outlook(sentBytes),
      seconds: this.#seconds(),
    }
  }

  /**
   * Remembers the job, before anything of it can be noticed.
   *
   * @throws BackupError `HISTORY_*`: the job must not start
   */
  async begin(): Promise<void> {
    const { job, sid, peer, requested, engine, instance, server, caller, memory } = this.#order
    const { name, version } = engine.identity
    const known = {
      ...(instance === undefined ? {} : { instance }),
      ...(server === undefined ? {} : { server }),
      ...(caller === undefined ? {} : { caller }),
    }
    await memory.started({ job, sid, peer, engine: name, engineVersion: version, ...known, requested })
    this.#isRemembered = true
  }

  /**
   * Starts the engine and waits for the first bytes of the backup: login, options and
   * locks of the start have worked then.
   *
   * @throws BackupError why there is no backup; the engine is gone by then
   */
  async start(): Promise<void> {
    const { engine, user, password, instance, caller, extraArgs, base, serverSide } = this.#order
    this.#step('starting')
    const { name, version } = engine.identity
    this.#log.info({ engine: name, version, instance, caller }, 'backup starting')
    this.#abort.signal.throwIfAborted()
    await this.#startCompressor() // first: no lock is waited for by one that cannot start
    await serverSide?.before(this.#abort.signal, this.#log)
    this.#abort.signal.throwIfAborted()
    const run = await engine.start({
      ...(user === undefined ? {} : { user }),
      ...(password === undefined ? {} : { password }),
      ...(base === undefined ? {} : { incrementalLsn: base.lsn }),
      ...(extraArgs === undefined ? {} : { extraArgs }),
      signal: this.#abort.signal,
      log: this.#log,
    })
    this.#run = run
    void run.settled.then((outcome) => {
      this.#outcome = outcome
      void serverSide?.after(outcome) // its instant is past; the client may still take its time
    })
    void this.#watch(run)
    this.#source = await this.#firstBytes(run)
    this.#abort.signal.throwIfAborted() // an engine of files looks at its signal now and then, and not at the last moment
    this.#step('streaming')
  }

  async #startCompressor(): Promise<void> {
    const { compressor: found, runtimeDirectory } = this.#order
    if (found === undefined) return
    const compressor = await startCompressor(found, this.#abort.signal, runtimeDirectory)
    this.#compressor = compressor
    this.#log.info({ ...found.compression, program: found.program, pid: compressor.pid }, 'compressor started')
    void compressor.settled.then((end) => {
      this.#compressorEnd = end
      // Noticed also while a slow receiver keeps everybody from looking.
      const failure = end.isCancelled ? undefined : compressorFailure(end)
      if (failure !== undefined) this.#stop(failure, 'failed')
    })
  }

  async #firstBytes(run: EngineRun): Promise<PipelineSource> {
    if (run.kind === 'files') return { run }
    const output = await withFirstChunk(run.output).catch((error: unknown) => {
      throw this.#stopped?.reason ?? error
    })
    if (output !== undefined) return { run, output }
    const outcome = await run.settled
    throw (
      this.#stopped?.reason ??
      outcome.failure ??
      new BackupError('ENGINE_NO_OUTPUT', 'the backup program ended before its first byte', {
        exitCode: outcome.exitCode ?? null,
        lastLines: outcome.lastLines,
      })
    )
  }

  /**
   * The backup, encoded for the wire of a client that sees no trailer, in bursts that leave in one write each.
   * What was yielded has left when the next one is asked for. Returns after the last byte of a complete backup;
   * throws otherwise.
   *
   * @param blockBytes raw bytes in one read of the client
   * @throws BackupError the first fact that makes the backup incomplete
   */
  wire(encoder: Encoder, blockBytes: number): AsyncGenerator<Buffer[]> {
    const { wait, nowMs } = this.#order
    this.#isPlain = true
    const onQuiet = (reserveBytes: number): void => {
      const stage = this.#run?.progress().stage
      this.#log.info({ stage, reserveBytes }, 'the backup program is quiet: sending from the reserve')
    }
    return this.#driven((source) => {
      const options = { ...this.#pipeline(source.run), encoder, blockBytes, wait, nowMs, onQuiet }
      const compressor = this.#compressor
      return compressor === undefined ? toWire(source, options) : toPackedWire(source, options, compressor)
    })
  }

  /** The bytes of the archive themselves, compressed or not, for a stream with a trailer. Otherwise as `wire`. */
  archive(): AsyncGenerator<Buffer> {
    return this.#driven((source) => {
      const options = this.#pipeline(source.run)
      const compressor = this.#compressor
      return compressor === undefined ? toArchive(source, options) : toPackedArchive(source, options, compressor)
    })
  }

  /** What `wire` or `archive` has yielded has been sent, and is looked at no more. Each piece once. Never necessary. */
  takeBack(pieces: readonly Buffer[]): void {
    if (this.#compressor !== undefined) this.#compressor.takeBack(pieces)
    else if (this.#source !== undefined) takeBack(this.#source, this.#spill.spill, pieces)
  }

  /** The last byte is out: the backup is complete. Only `#decide` lets a job get this far. */
  finish(): void {
    this.#step('complete')
    this.#log.info(
      { ...this.#figures(), ...this.#position(), sha256: this.#result?.sha256, spill: this.#spill.figures() },
      'backup complete',
    )
  }

  /** Ends the job as failed or cancelled, waits until the engine is gone. Idempotent, never throws. */
  async fail(error: unknown): Promise<void> {
    const failure = error instanceof BackupError ? error : undefined
    this.#failure ??= failure ?? new BackupError('JOB_INCOMPLETE', 'an internal error of the agent: see its log')
    if (!isFinal(this.#state)) this.#step(this.#stopped?.state ?? 'failed')
    this.#abort.abort(failure)
    await this.#run?.settled
    await this.#compressor?.settled
    const { code, message, facts, hint } = failure ?? {
      code: 'BUG',
      message: String(error),
      facts: {},
      hint: undefined,
    }
    this.#log.error(
      {
        ...this.#figures(),
        spill: this.#spill.figures(),
        code,
        facts,
        hint,
        err: failure === undefined ? error : undefined,
      },
      message,
    )
  }

  /** The server and the lease are given back when this resolves; the job may still have to be remembered. */
  async release(): Promise<void> {
    this.#abort.abort()
    this.#ended.abort()
    this.#digest.close()
    await this.#run?.settled
    await this.#compressor?.settled
    await this.#order.serverSide?.after()
    await this.#spill.spill.close()
    this.#order.lease.release()
  }

  /**
   * Releases, and remembers how it ended. The driver calls it last, whatever happened. The first call counts.
   *
   * @param outcome of a complete backup: whether the client has said that it has it
   * @param why it is not confirmed
   */
  close(outcome: Extract<Outcome, 'delivered' | 'sent-unconfirmed'> = 'sent-unconfirmed', why?: string): Promise<void> {
    this.#closing ??= this.#remember(outcome, why)
    return this.#closing
  }

  async #remember(outcome: Outcome, why: string | undefined): Promise<void> {
    await this.release()
    if (this.#isRemembered) await this.#order.memory.ended(this.#order.job, this.#end(outcome, why))
    this.#close()
  }

  /** Stops everything the job has started, because somebody wants it so. The first reason is the one that counts. */
  cancel(reason: BackupError): void {
    this.#stop(reason, 'cancelled')
  }

  /** Stops everything, because it cannot go on. */
  abandon(reason: BackupError): void {
    this.#stop(reason, 'failed')
  }

  #stop(reason: BackupError, state: 'failed' | 'cancelled'): void {
    if (isFinal(this.#state) || this.#stopped !== undefined) return
    this.#stopped = { reason, state }
    this.#abort.abort(reason)
  }

  async *#driven<Piece>(stream: (source: PipelineSource) => AsyncGenerator<Piece>): AsyncGenerator<Piece> {
    const source = this.#source
    if (source === undefined) throw new Error('bug: a stream before start()')
    try {
      for await (const piece of stream(source)) {
        this.#isPending = true
        yield piece
        this.#isPending = false
      }
    } catch (error) {
      throw await this.#cause(source.run, error)
    }
  }

  #pipeline(run: EngineRun): PipelineOptions {
    const { format, memoryBytes, spool, wallClockMs } = this.#order
    const redoLogName = run.kind === 'xbstream' ? run.redoLogName : undefined
    return {
      format,
      mark: this.#mark(run),
      spill: this.#spill.spill,
      memoryBytes,
      spool,
      mtimeMs: wallClockMs,
      signal: this.#abort.signal,
      settle: () => this.#settle(run),
      decide: (summary, sentBytes) => this.#decide(run, summary, sentBytes),
      onEngineBytes: (length) => {
        this.#engineBytes += length
      },
      onMember: (path, sizeBytes) => {
        this.#members += 1
        this.#log.trace({ path, sizeBytes }, 'member')
      },
      onData: (path, length) => {
        if (path === redoLogName) this.#spill.copiedRedo(length)
      },
      onArchiveBytes: (bytes) => {
        this.#archiveBytes += bytes.length
        return this.#digest.update(bytes)
      },
      onLeft: (archiveBytes) => this.#sent.add(archiveBytes - this.#sent.bytes),
      // The one who sends may be waiting for a network that takes nothing: it is told by the abort.
      onFailure: (error) => {
        void this.#cause(run, error).then((cause) => {
          if (cause instanceof BackupError) this.#stop(cause, 'failed')
          else this.#abort.abort(cause)
        })
      },
    }
  }

  async #settle(run: EngineRun): Promise<void> {
    this.#abort.signal.throwIfAborted()
    this.#step('settling')
    const outcome = await run.settled
    this.#outcome = outcome
    if (outcome.failure !== undefined) throw this.#spill.explained(outcome.failure)
  }

  async #decide(run: EngineRun, summary: TarSummary, sentBytes: number): Promise<void> {
    const sha256 = await this.#digest.finish()
    const outcome = this.#outcome
    if (outcome === undefined) throw new Error('bug: a verdict before the engine is gone')
    if (this.#compressor !== undefined && this.#compressorEnd === undefined) {
      throw new Error('bug: a verdict before the compressor is gone')
    }
    this.#made = summary
    const { format, base } = this.#order
    const increment = base === undefined ? undefined : incrementRange(base.lsn, summary.checkpoints)
    const verdict = decideVerdict({
      exitCode: outcome.exitCode,
      signal: outcome.signal,
      saidOk: outcome.saidOk,
      engineFailure: outcome.failure,
      stopped: this.#stopped?.reason,
      compressor: this.#compressorEnd,
      members: summary.members,
      // Plain files come with no such witness: the engine has counted them beforehand instead.
      metadataMissing: run.kind === 'xbstream' ? missing(summary.metadata) : [],
      incrementFailure: increment instanceof BackupError ? increment : undefined,
      archiveBytes: summary.archiveBytes + (format === 'tar' ? END_OF_ARCHIVE_BYTES : 0),
      sentBytes,
    })
    if (!verdict.complete) throw verdict.failure
    this.#result = {
      bytes: sentBytes,
      sha256,
      members: summary.members,
      padded: summary.padded,
      coordinates: outcome.coordinates,
      lsn: this.#lsn(),
      exitCode: outcome.exitCode ?? 0,
      increment: increment instanceof BackupError ? undefined : increment,
    }
  }

  /**
   * What really went wrong, when the archive room threw.
   *
   * A killed engine shows up first as a stream that stops in the middle; the engine's
   * own last words say why. So they are waited for, and the stream's complaint is the
   * answer only when the engine has none.
   */
  async #cause(run: EngineRun, error: unknown): Promise<unknown> {
    const cutByEngine = error instanceof BackupError && CUT_BY_ENGINE.has(error.code)
    const outcome = cutByEngine && this.#stopped === undefined ? await run.settled : undefined
    if (this.#stopped !== undefined) return this.#stopped.reason
    return outcome?.failure === undefined ? error : this.#spill.explained(outcome.failure)
  }

  /** Looks after the job until it ends: nobody else may be awake when it hangs. */
  async #watch(run: EngineRun): Promise<void> {
    const { limits, nowMs, wait } = this.#order
    const clock = new AwakeClock(nowMs)
    const dogs = new Watchdogs(limits, clock.nowMs)
    const compressor = this.#compressor && new CompressorWatch(this.#compressor, limits.hangMs, clock.nowMs)
    let lastUnacknowledged = 0
    let lastSent = 0
    while (!this.#ended.signal.aborted && this.#stopped === undefined) {
      const { full, bytesIn, bytesOut } = this.#spill.spill.state
      // Asked for only while nothing seems to move: it is a table of the whole host.
      const isStill = this.#isPending && this.#sent.bytes === lastSent
      const unacknowledged = isStill ? ((await this.#order.unacknowledgedBytes?.()) ?? 0) : lastUnacknowledged
      clock.tick()
      const compressing = compressor?.look(this.#isPending || this.#compressorEnd !== undefined)
      const moved = (isStill && unacknowledged !== lastUnacknowledged) || compressing?.hasMoved === true
      lastUnacknowledged = unacknowledged
      lastSent = this.#sent.bytes
      const failure =
        compressing?.failure ??
        dogs.look({
          engine: run.progress(),
          engineRuns: this.#outcome === undefined,
          hasBegun: this.#state !== 'starting',
          engineBytes: this.#engineBytes + this.#archiveBytes,
          isFull: full,
          pending: this.#isPending || bytesIn > bytesOut,
          bytesOut: this.#sent.bytes,
          moved,
        })
      if (failure !== undefined) {
        this.abandon(failure)
        return
      }
      if (run.kind === 'xbstream') this.#spill.lookAtRedo(run.redoCapacityBytes())
      await wait(LOOK_MS, this.#ended.signal)
    }
  }

  #outlook(sentBytes: number): { percent?: number; etaSeconds?: number } {
    const run = this.#run
    const made = this.#made?.archiveBytes ?? (this.#outcome === undefined ? undefined : this.#archiveBytes)
    const totalBytes = made ?? run?.totalBytes()
    if (totalBytes === undefined || totalBytes === 0) return {}
    const rate = this.#sent.rate()
    const percent = isFinal(this.#state) ? 100 : Math.min(Math.floor((100 * sentBytes) / totalBytes), 99)
    if (rate === 0 || sentBytes >= totalBytes) return { percent }
    return { percent, etaSeconds: Math.ceil((totalBytes - sentBytes) / rate) }
  }

  #mark(run: EngineRun): ArchiveMark {
    const { product, engine } = this.#order
    const mark = { product, engine: engine.identity.name, engineVersion: engine.identity.version }
    return run.kind === 'files' ? { ...mark, ...run.totals } : mark
  }

  #end(outcome: Outcome, why: string | undefined): JobEnd {
    const result = this.#result
    const failure = this.#failure
    if (this.#state !== 'complete' || result === undefined) {
      return {
        outcome: this.#stopped?.state === 'cancelled' ? 'cancelled' : 'failed',
        code: failure?.code ?? 'JOB_INCOMPLETE',
        ...(failure === undefined ? {} : { msg: failure.message }),
        bytes: this.#archiveBytes,
        members: this.#members,
        seconds: this.#seconds(),
      }
    }
    const { bytes, sha256, members, padded } = result
    return {
      outcome,
      ...(why === undefined ? {} : { msg: why }),
      bytes,
      sha256,
      members,
      ...this.#position(),
      padded: { files: padded.length, bytes: padded.reduce((sum, { zeroBytes }) => sum + zeroBytes, 0) },
      seconds: this.#seconds(),
    }
  }

  #position(): Pick<BackupResult, 'coordinates' | 'lsn'> {
    return { coordinates: this.#outcome?.coordinates ?? {}, lsn: this.#lsn() }
  }

  /** Where an increment on it would begin says the file that a preparation goes by, before words on stderr. */
  #lsn(): EngineOutcome['lsn'] {
    const lsn = this.#outcome?.lsn ?? {}
    const checkpoint = this.#made?.checkpoints?.lsn.to ?? lsn.checkpoint
    return checkpoint === undefined ? lsn : { ...lsn, checkpoint }
  }

  #figures(): Record<string, unknown> {
    return {
      members: this.#members,
      archiveBytes: this.#archiveBytes,
      sentBytes: this.#sent.bytes,
      ...(this.#compressor === undefined ? {} : { compressedBytes: this.#compressor.givenBytes }),
      padded: this.#made?.padded,
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
