/**
 * Says when a job has waited for too long, for what, and by which limit.
 *
 *     waits for                              limit                   failure
 *     the first byte of the backup           startMs                 JOB_START_TIMEOUT
 *     a lock that the server has not given   lockWaitMs              JOB_LOCK_WAIT
 *     a sign of life, the server blocked     lockedHangMs            JOB_NO_PROGRESS
 *     a sign of life, otherwise              hangMs            JOB_NO_PROGRESS
 *     the receiver                           stall: see StallGuard   FLOW_STALLED…
 *
 * A sign of life is a byte or a line of words. Whoever is kept waiting by the receiver
 * owes none. Pure: told how things stand, on a clock that is passed in; it stops nothing.
 */

import type { EngineProgress } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { StallGuard, type StallLimits } from '../flow/index.ts'

export interface WatchLimits extends StallLimits {
  readonly startMs: number
  readonly lockWaitMs: number
  readonly hangMs: number
  readonly lockedHangMs: number
}

/** How things stand now. */
export interface WatchFacts {
  readonly engine: EngineProgress
  /** The engine runs, and has not closed its output. */
  readonly engineRuns: boolean
  /** The first byte of the backup has come. */
  readonly hasBegun: boolean
  /** Bytes the engine has given so far. */
  readonly engineBytes: number
  /** The engine is kept waiting, and only the receiver can end that. */
  readonly isFull: boolean
  /** There are bytes for the receiver to take. */
  readonly pending: boolean
  /** Bytes that have left so far. */
  readonly bytesOut: number
  /** Something has left since the last look, though a whole piece has not yet. */
  readonly moved: boolean
}

export class Watchdogs {
  readonly #limits: WatchLimits
  readonly #nowMs: () => number
  readonly #stall: StallGuard
  readonly #startedMs: number
  #seen = ''
  #aliveMs: number

  /** @param nowMs a monotonic clock, milliseconds */
  constructor(limits: WatchLimits, nowMs: () => number) {
    this.#limits = limits
    this.#nowMs = nowMs
    this.#stall = new StallGuard(limits, nowMs)
    this.#startedMs = this.#aliveMs = nowMs()
  }

  /** To be called a few times a second. @returns the error to stop the job with */
  look(facts: WatchFacts): BackupError | undefined {
    return this.#lookAtEngine(facts) ?? this.#lookAtReceiver(facts)
  }

  #lookAtReceiver({ engine, engineRuns, isFull, pending, bytesOut, moved }: WatchFacts): BackupError | undefined {
    return this.#stall.look({
      locked: engine.locked && engineRuns,
      producerWaiting: isFull,
      pending,
      bytesOut,
      moved,
    })
  }

  #lookAtEngine({ engine, engineRuns, hasBegun, engineBytes, isFull }: WatchFacts): BackupError | undefined {
    const now = this.#nowMs()
    const sign = `${engineBytes} ${engine.words} ${engine.files}`
    if (sign !== this.#seen || isFull || !engineRuns) this.#aliveMs = now
    this.#seen = sign
    if (!engineRuns) return undefined
    const { startMs, lockWaitMs, hangMs, lockedHangMs } = this.#limits
    if (!hasBegun) {
      if (now - this.#startedMs < startMs) return undefined
      return new BackupError(
        'JOB_START_TIMEOUT',
        `the backup program gave no byte within ${seconds(startMs)} (stage ${engine.stage})`,
        { limitMs: startMs, stage: engine.stage },
        { hint: 'see what it waits for with SHOW FULL PROCESSLIST; --start-seconds allows for more' },
      )
    }
    const stillMs = now - this.#aliveMs
    if (engine.waitingForLock) {
      if (stillMs < lockWaitMs) return undefined
      return new BackupError(
        'JOB_LOCK_WAIT',
        `the backup program waited ${seconds(stillMs)} for the locks of the stage ${engine.stage}`,
        { limitMs: lockWaitMs, stage: engine.stage },
        {
          hint: 'a long query or ALTER TABLE holds them: see SHOW FULL PROCESSLIST; --lock-wait-seconds allows for more',
        },
      )
    }
    // In FLUSH only the table that is being copied is blocked, and looking through very many tables takes its time.
    const isBlocking = engine.locked && engine.stage !== 'FLUSH'
    const limitMs = isBlocking ? lockedHangMs : hangMs
    if (stillMs < limitMs) return undefined
    return new BackupError(
      'JOB_NO_PROGRESS',
      isBlocking
        ? `the backup program did nothing for ${seconds(stillMs)} while the server was blocked (stage ${engine.stage})`
        : `the backup program neither sent nor said anything for ${seconds(stillMs)} (stage ${engine.stage})`,
      { limitMs, stage: engine.stage, locked: engine.locked },
      {
        hint: isBlocking
          ? 'look at the disk and the log of the server; --locked-seconds allows for more'
          : 'look at the disk and the log of the server; --hang-seconds allows for more',
      },
    )
  }
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(0)} s`
