/**
 * The spill of one job, and what it tells of the one who receives.
 *
 *     it changes                    a line in the log, and how long the backup program was kept waiting
 *     the redo log is written fast  it takes over early: `flow/redo-watch.ts`
 *     the redo log was overrun      whose fault it was, and which settings help
 */

import { BackupError } from '../errors/index.ts'
import { RedoWatch, Spill } from '../flow/index.ts'
import type { Logger } from '../log/index.ts'
import type { BackupOrder } from './backup-order.ts'

/** What it has to know of its job. */
export interface SpillingJob {
  readonly log: Logger
  /** The engine's own word for what it does. */
  stage(): string | undefined
  /** Who makes the engine wait, in a message: `the receiver`. */
  slowOne(): string
  /** As `SpillOptions.onStored`. */
  onStored(pushed: readonly Buffer[]): void
}

/** Below this a wait is no news. */
const NOTICEABLE_MS = 1_000

export class JobSpill {
  readonly spill: Spill
  readonly #job: SpillingJob
  readonly #nowMs: () => number
  readonly #redo: RedoWatch
  #saidProblem: string | undefined // of the disk: said once, not for every try
  #isRedoNear = false
  #fullMs = 0 // the engine was kept waiting by the receiver, in all
  #fullSinceMs: number | undefined

  constructor({ memoryBytes, disk }: BackupOrder['spill'], nowMs: () => number, job: SpillingJob) {
    this.#job = job
    this.#nowMs = nowMs
    this.#redo = new RedoWatch(nowMs)
    this.spill = new Spill({ memoryBytes, disk, nowMs, onChange: () => this.#noteChange(), onStored: job.onStored })
  }

  /** Of the redo log, out of the engine. */
  copiedRedo(bytes: number): void {
    this.#redo.copied(bytes)
  }

  /** To be called a few times a second. @param capacityBytes of the server's redo log, where that is known */
  lookAtRedo(capacityBytes: number | undefined): void {
    const isWaiting = this.spill.state.producerWaitingSinceMs !== undefined
    const { isNear, bytesPerSecond, graceMs } = this.#redo.look(capacityBytes, isWaiting)
    if (isNear === this.#isRedoNear) return
    this.#isRedoNear = isNear
    this.spill.spillEarly(isNear)
    if (!isNear) return
    const graceSeconds = Math.round(graceMs / 1000)
    this.#job.log.info(
      { bytesPerSecond: Math.round(bytesPerSecond), capacityBytes, graceSeconds },
      'the server writes its redo log quickly: the spill takes over early',
    )
  }

  /** An overrun of the redo log is the server's word for what a receiver has done, if it has kept the engine waiting. */
  explained(failure: BackupError): BackupError {
    const waitedMs = this.#fullMs + (this.#fullSinceMs === undefined ? 0 : this.#nowMs() - this.#fullSinceMs)
    if (failure.code !== 'ENGINE_REDO_OVERRUN' || waitedMs < NOTICEABLE_MS) return failure
    const waited = `${(waitedMs / 1000).toFixed(1)} s`
    return new BackupError(
      failure.code,
      `${failure.message.replace(/\.$/, '')}; ${this.#job.slowOne()} was slow, and kept the backup program waiting for ${waited} in all`,
      { ...failure.facts, keptWaitingMs: Math.round(waitedMs), peakSpilledBytes: this.spill.state.peakDiskBytes },
      { cause: failure, hint: `give the spill more room with --spill-bytes and --spool-dir, or ${failure.hint ?? ''}` },
    )
  }

  /** For the log. */
  figures(): Record<string, unknown> {
    const { peakMemoryBytes, peakDiskBytes } = this.spill.state
    return { peakMemoryBytes, peakDiskBytes, engineWaitedMs: Math.round(this.#fullMs) }
  }

  #noteChange(): void {
    const { full, spilling, diskProblem, memoryBytes, diskBytes } = this.spill.state
    const now = this.#nowMs()
    if (full && this.#fullSinceMs === undefined) this.#fullSinceMs = now
    if (!full && this.#fullSinceMs !== undefined) {
      this.#fullMs += now - this.#fullSinceMs
      this.#fullSinceMs = undefined
    }
    const { log } = this.#job
    const facts = { spilling, full, memoryBytes, diskBytes, stage: this.#job.stage() }
    const isNews = diskProblem !== undefined && diskProblem.code !== this.#saidProblem
    if (isNews) this.#saidProblem = diskProblem.code
    if (!isNews) log.debug(facts, 'spill')
    else log.warn({ ...facts, code: diskProblem.code }, `the spill has no disk: ${diskProblem.message}`)
  }
}
