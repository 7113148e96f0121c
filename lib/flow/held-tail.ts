/**
 * Keeps the newest bytes of a stream back, always, until somebody says that they may go.
 *
 *     ── left ───────────────────────┤ tail: held │
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

  /** @returns what may leave now, in order, as views */
  push(bytes: Buffer): Buffer[] {
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
    const free: Buffer[] = []
    for (let spare = this.#heldBytes - this.#keepBytes; spare > 0; ) {
      const oldest = this.#held[0] as Buffer
      const part = oldest.subarray(0, spare)
      if (part.length < oldest.length) this.#held[0] = oldest.subarray(part.length)
      else this.#held.shift()
      if (part.length > 0) free.push(part)
      spare -= part.length
      this.#heldBytes -= part.length
    }
    return free
  }

  /** Lets go of everything. For the pipeline alone, and only after a verdict of complete. */
  release(): Buffer[] {
    const free = this.#held
    this.#held = []
    this.#heldBytes = 0
    return free
  }
}
