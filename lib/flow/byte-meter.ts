/**
 * Counts bytes as they pass and says how fast they do.
 *
 * Pure: the clock comes in as a function. The rate is over a sliding window, so that a
 * stalled stream shows 0 soon instead of a slowly sinking average.
 */

/** Length of the window in which the rate is measured. */
const WINDOW_MS = 5_000

interface Sample {
  readonly atMs: number
  readonly bytes: number
}

export class ByteMeter {
  readonly #nowMs: () => number
  readonly #startedMs: number
  #samples: Sample[]
  #bytes = 0

  /** @param nowMs a monotonic clock in milliseconds */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
    this.#startedMs = nowMs()
    this.#samples = [{ atMs: this.#startedMs, bytes: 0 }]
  }

  get bytes(): number {
    return this.#bytes
  }

  get elapsedMs(): number {
    return this.#nowMs() - this.#startedMs
  }

  add(bytes: number): void {
    this.#bytes += bytes
  }

  /** Bytes per second over the last few seconds; also takes the sample, so ask about once per displayed line. */
  rate(): number {
    const now = this.#nowMs()
    this.#samples.push({ atMs: now, bytes: this.#bytes })
    while (this.#samples.length > 2 && (this.#samples[1] as Sample).atMs <= now - WINDOW_MS) this.#samples.shift()
    const first = this.#samples[0] as Sample
    return now === first.atMs ? 0 : ((this.#bytes - first.bytes) * 1000) / (now - first.atMs)
  }
}
