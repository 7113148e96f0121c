/**
 * Buffers for wire bytes that come back when what was in them has left, and are written again.
 *
 *     take ─▶ wire bytes ─▶ … ─▶ socket ─▶ takeBack ─▶ take
 *
 * Memory that was written a moment ago is in the processor's cache and has its pages; fresh memory has neither, and
 * that costs as much as dressing the bytes does. Nobody has to give anything back: what does not come is collected,
 * as any buffer is.
 */

/** More are never on their way at a time, unless something is held back: then they are fresh ones. */
const MAX_FREE = 8

export class WirePool {
  readonly #free: ArrayBufferLike[] = []
  /** What is out, and how much of it: a part of it alone must not come back, because somebody may have the rest. */
  readonly #lent = new WeakMap<ArrayBufferLike, number>()
  #largestBytes = 0

  /** A buffer of exactly so many bytes, whatever stands in them. */
  take(bytes: number): Buffer {
    this.#largestBytes = Math.max(this.#largestBytes, bytes)
    let memory = this.#free.pop()
    if (memory === undefined || memory.byteLength < bytes) memory = Buffer.allocUnsafeSlow(this.#largestBytes).buffer
    this.#lent.set(memory, bytes)
    return Buffer.from(memory, 0, bytes)
  }

  /** Takes back what it has lent, and whole; everything else is left alone. */
  takeBack(buffers: readonly Buffer[]): void {
    for (const { buffer, byteOffset, length } of buffers) {
      if (byteOffset !== 0 || this.#lent.get(buffer) !== length) continue
      this.#lent.delete(buffer)
      if (this.#free.length < MAX_FREE && buffer.byteLength === this.#largestBytes) this.#free.push(buffer)
    }
  }
}
