/**
 * Tells how long the backup program may be kept waiting before the server overruns it.
 *
 *     redo log of the server   │ copied │ not copied yet … │
 *                              └──────── capacity ────────┘
 *     written at `rate`: who copies nothing for capacity / rate has lost the race
 *
 * The redo log shares one pipe with everything else. A receiver that makes that pipe wait
 * makes the copying of the redo log wait, and a server that meanwhile writes once around
 * its log has overwritten what was not copied: the backup fails at its end. The rate is
 * taken from the redo log's own bytes in the stream.
 *
 * Pure: a clock comes in. Source: engine-facts, 5 (a steady slow reader failed 3 of 3).
 */

import { ByteMeter } from './byte-meter.ts'

export interface RedoRisk {
  /** Redo log written by the server, bytes per second, over the last seconds. */
  readonly bytesPerSecond: number
  /** How long a wait the server's log allows at this rate; infinite when nothing is written. */
  readonly graceMs: number
  /** The grace is so short that a receiver's pause could use it up. */
  readonly isNear: boolean
}

/** A pause of a receiver may well last for so long: it is then the spill that has to take the bytes. */
const NEAR_MS = 120_000

/** At first comes what had been written before the backup began, as fast as it can be read: no rate of the server's. */
const CATCH_UP_MS = 5_000

/** Part of the log that can be counted on: the server frees it in steps, and our rate is of the past. */
const USABLE = 1 / 2

export class RedoWatch {
  readonly #meter: ByteMeter
  #risk: RedoRisk = { bytesPerSecond: 0, graceMs: Number.POSITIVE_INFINITY, isNear: false }

  /** @param nowMs a monotonic clock, milliseconds */
  constructor(nowMs: () => number) {
    this.#meter = new ByteMeter(nowMs)
  }

  /** Bytes of the redo log that have come out of the backup program since the beginning. */
  get copiedBytes(): number {
    return this.#meter.bytes
  }

  copied(bytes: number): void {
    this.#meter.add(bytes)
  }

  /**
   * To be called about once a second.
   *
   * @param isWaiting the backup program is being kept waiting: what it does not copy says nothing about what the server writes
   */
  look(capacityBytes: number | undefined, isWaiting: boolean): RedoRisk {
    const bytesPerSecond = this.#meter.rate()
    if (capacityBytes === undefined || (isWaiting && bytesPerSecond < this.#risk.bytesPerSecond)) return this.#risk
    const graceMs = bytesPerSecond === 0 ? Number.POSITIVE_INFINITY : (capacityBytes * USABLE * 1000) / bytesPerSecond
    this.#risk = { bytesPerSecond, graceMs, isNear: graceMs < NEAR_MS && this.#meter.elapsedMs >= CATCH_UP_MS }
    return this.#risk
  }
}
