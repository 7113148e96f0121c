/**
 * Buffers that are read into again when every byte that was in them has left.
 *
 *     take ─▶ filled ─▶ lend ─▶ views of it go their ways ─▶ takeBack, view by view ─▶ take
 *
 * Memory that was used a moment ago is in the processor's cache and has its pages, and nobody has to collect it. It may
 * be used again only when nobody looks at it any more, so each byte is counted: a view is given back once, by whoever
 * was the last to look at it, and never while anybody else has it. A byte that does not come back (a header that was
 * read) keeps its buffer from being used again, and then it is collected as any buffer is: nobody has to give anything
 * back.
 */

/**
 * A large allocation begins 16 bytes behind a page: that is where the C library keeps its notes. The kernel copies whole
 * pages to there, and a copy to a place so little behind its source, counted within a page, has every read wait for a write
 * before it: 2 GB/s instead of 8, measured. So a buffer begins at the next line of the processor's cache.
 */
const TO_NEXT_LINE_BYTES = 48

interface Lent {
  readonly buffer: Buffer
  outBytes: number
}

export class LentBuffers {
  readonly #bufferBytes: number
  readonly #maxFree: number
  readonly #free: Buffer[] = []
  readonly #lent = new WeakMap<ArrayBufferLike, Lent>()

  /** @param maxFree so many are kept for the next use; what was on its way beyond that is collected when it is back */
  constructor(bufferBytes: number, maxFree: number) {
    this.#bufferBytes = bufferBytes
    this.#maxFree = maxFree
  }

  /** A buffer to be filled, whatever stands in it. */
  take(): Buffer {
    const again = this.#free.pop()
    if (again !== undefined) return again
    return Buffer.allocUnsafeSlow(TO_NEXT_LINE_BYTES + this.#bufferBytes).subarray(TO_NEXT_LINE_BYTES)
  }

  /** @returns the first `bytes` of a buffer from `take`, to be given back in any number of views */
  lend(buffer: Buffer, bytes: number): Buffer {
    this.#lent.set(buffer.buffer, { buffer, outBytes: bytes })
    return buffer.subarray(0, bytes)
  }

  /** Takes back what it has lent; everything else is left alone. */
  takeBack(views: readonly Buffer[]): void {
    for (const { buffer, length } of views) {
      const lent = this.#lent.get(buffer)
      if (lent === undefined) continue
      lent.outBytes -= length
      if (lent.outBytes > 0) continue
      this.#lent.delete(buffer)
      if (this.#free.length < this.#maxFree) this.#free.push(lent.buffer)
    }
  }
}
