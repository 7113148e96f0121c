/**
 * Counts the bytes of memory that wait, so that a bound on them can be kept and a figure for them be shown.
 */

export class MemoryAccount {
  #bytes = 0
  #peakBytes = 0
  #viewBytes = 0

  get bytes(): number {
    return this.#bytes
  }

  /** The most that ever was held. */
  get peakBytes(): number {
    return this.#peakBytes
  }

  /** Bytes that ever were kept as views of somebody else's memory, and not copied. */
  get viewBytes(): number {
    return this.#viewBytes
  }

  addView(bytes: number): void {
    this.#viewBytes += bytes
  }

  add(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes > this.#peakBytes) this.#peakBytes = this.#bytes
  }

  subtract(bytes: number): void {
    this.#bytes -= bytes
  }
}
