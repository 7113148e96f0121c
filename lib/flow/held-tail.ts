/**
 * Keeps the newest bytes of a stream back, always, until somebody says that they may go.
 *
 *     ── left ──────────────────┤ piece │ piece │ piece │
 *                                       └─ tail: held ─┘
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

  /** @returns what may leave now, in order, as it came: pieces are not cut, so up to one more is held */
  push(bytes: Buffer): Buffer[] {
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
    let count = 0
    for (const { length } of this.#held) {
      if (this.#heldBytes - length < this.#keepBytes) break
      this.#heldBytes -= length
      count += 1
    }
    return this.#held.splice(0, count)
  }

  /** Lets go of everything. For the pipeline alone, and only after a verdict of complete. */
  release(): Buffer[] {
    const free = this.#held
    this.#held = []
    this.#heldBytes = 0
    return free
  }
}
