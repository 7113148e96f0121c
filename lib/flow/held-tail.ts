/**
 * Keeps the newest bytes of a stream back, always, until somebody says that they may go.
 *
 *     ── left ──────────────────┤ piece │ piece │ piece │
 *                                  └─ at least held ─┘
 *
 * For a compressed stream, which has but one end: whatever lacks its last bytes is
 * refused by the program that decompresses it, wherever it was cut. Pure.
 */

export class HeldTail {
  readonly #keepBytes: number
  #held: Buffer[] = []
  #heldBytes = 0

  /** @param keepBytes at least 1: so many of the newest bytes never leave by themselves */
  constructor(keepBytes: number) {
    if (!(keepBytes >= 1)) throw new RangeError(`bug: a tail of ${keepBytes} bytes holds nothing back`)
    this.#keepBytes = keepBytes
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  /**
   * @returns what may leave now, in order: whole pieces where there are any, a part of one otherwise, so that something
   *   leaves for whatever comes
   */
  push(bytes: Buffer): Buffer[] {
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
    let count = 0
    for (const { length } of this.#held) {
      if (this.#heldBytes - length < this.#keepBytes) break
      this.#heldBytes -= length
      count += 1
    }
    const spareBytes = this.#heldBytes - this.#keepBytes
    if (count > 0 || spareBytes <= 0) return this.#held.splice(0, count)
    const oldest = this.#held[0] as Buffer // longer than what is spare
    this.#held[0] = oldest.subarray(spareBytes)
    this.#heldBytes -= spareBytes
    return [oldest.subarray(0, spareBytes)]
  }

  /** Lets go of everything. For the pipeline alone, and only after a verdict of complete. */
  release(): Buffer[] {
    const free = this.#held
    this.#held = []
    this.#heldBytes = 0
    return free
  }
}
