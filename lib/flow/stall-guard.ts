/**
 * Says when a receiver has been slow for too long, and by which of three rules.
 *
 *     the database is locked and the backup program waits     no byte leaves for 10 s,
 *     for room: every write to the server waits with it       or the waits add up to 60 s
 *     anything else: only the backup takes longer             no byte leaves for stallMs
 *
 * The sum is there for the receiver that takes a byte now and then: it never stalls, and
 * holds the locks all the same. Nothing counts against the receiver while there is nothing
 * for it to take.
 *
 * Pure: told how things stand, on a clock that is passed in. It cancels nothing itself.
 */

import { BackupError } from '../errors/index.ts'

export interface StallLimits {
  /** Longest time without a byte leaving while the locked server waits. */
  readonly lockedStallMs: number
  /** Longest time in all that the locked server may wait for room. */
  readonly lockedWaitMs: number
  /** Longest time without a byte leaving at any other time. */
  readonly stallMs: number
}

/** How things stand now. */
export interface FlowObservation {
  /** The backup program is in a stage that holds locks. */
  readonly locked: boolean
  /** The backup program waits, or will at its next byte: the spill has no room. */
  readonly producerWaiting: boolean
  /** There are bytes for the receiver to take. */
  readonly pending: boolean
  /** Bytes that have left since the beginning. */
  readonly bytesOut: number
  /** Something has left since the last look all the same, though a whole piece has not yet. */
  readonly moved?: boolean
}

export class StallGuard {
  readonly #limits: StallLimits
  readonly #nowMs: () => number
  #bytesOut = 0
  #stillSinceMs: number | undefined // bytes are there, and none leaves
  #heldSinceMs: number | undefined // and the locked server waits for that
  #lockedWaitMs = 0
  #lastHeldMs: number | undefined // at the last look the locked server waited
  #verdict: BackupError | undefined

  /** @param nowMs a monotonic clock in milliseconds */
  constructor(limits: StallLimits, nowMs: () => number) {
    this.#limits = limits
    this.#nowMs = nowMs
  }

  /** The locked server's waits so far, added up. */
  get lockedWaitMs(): number {
    return this.#lockedWaitMs
  }

  /**
   * To be called a few times a second, and best at every change too: what was true at one
   * look is taken to have been true until the next.
   *
   * @returns the error to cancel the backup with, `FLOW_STALLED_LOCKED` or `FLOW_STALLED`; always the same one from then on
   */
  look({ locked, producerWaiting, pending, bytesOut, moved = false }: FlowObservation): BackupError | undefined {
    if (this.#verdict !== undefined) return this.#verdict
    const now = this.#nowMs()
    const hasMoved = moved || bytesOut !== this.#bytesOut
    const isHeld = locked && producerWaiting

    if (this.#lastHeldMs !== undefined) this.#lockedWaitMs += now - this.#lastHeldMs
    this.#lastHeldMs = isHeld ? now : undefined
    this.#bytesOut = bytesOut
    this.#stillSinceMs = !(pending || producerWaiting) ? undefined : hasMoved ? now : (this.#stillSinceMs ?? now)
    this.#heldSinceMs = !isHeld ? undefined : hasMoved ? now : (this.#heldSinceMs ?? now)

    this.#verdict = this.#judge(now)
    return this.#verdict
  }

  #judge(now: number): BackupError | undefined {
    const { lockedStallMs, lockedWaitMs, stallMs } = this.#limits
    const facts = { bytesOut: this.#bytesOut, lockedWaitMs: this.#lockedWaitMs }
    const heldMs = this.#heldSinceMs === undefined ? 0 : now - this.#heldSinceMs
    if (heldMs >= lockedStallMs) {
      return new BackupError(
        'FLOW_STALLED_LOCKED',
        `no byte left for ${seconds(heldMs)} while the locked server waited for it (limit ${seconds(lockedStallMs)})`,
        { ...facts, stalledMs: heldMs, limitMs: lockedStallMs },
        { hint: MORE_ROOM },
      )
    }
    if (this.#lockedWaitMs >= lockedWaitMs) {
      return new BackupError(
        'FLOW_STALLED_LOCKED',
        `the locked server waited ${seconds(this.#lockedWaitMs)} in all for a slow receiver (limit ${seconds(lockedWaitMs)})`,
        { ...facts, limitMs: lockedWaitMs },
        { hint: MORE_ROOM },
      )
    }
    const stillMs = this.#stillSinceMs === undefined ? 0 : now - this.#stillSinceMs
    if (stillMs < stallMs) return undefined
    return new BackupError(
      'FLOW_STALLED',
      `no byte left for ${seconds(stillMs)} (limit ${seconds(stallMs)})`,
      { ...facts, stalledMs: stillMs, limitMs: stallMs },
      { hint: 'see why the receiver takes nothing: its disk, its terminal, the network between' },
    )
  }
}

const MORE_ROOM = 'give the spill room for the whole backup with --spool-bytes, or receive faster'

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`
