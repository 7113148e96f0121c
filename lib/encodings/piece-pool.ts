/**
 * Buffers for what an encoder or a decoder gives: they come back when nobody looks at it any more, and are written again.
 *
 *     take ─▶ filled ─▶ … ─▶ socket, file ─▶ takeBack ─▶ take
 *
 * Memory that was written a moment ago is in the processor's cache and has its pages; fresh memory has neither, and
 * that costs as much as dressing the bytes does. Nobody has to give anything back: what does not come is collected,
 * as any buffer is, and while nothing has come back a buffer is no more than a page larger than what is in it.
 */

/** Fewer are not worth it: they share memory with others, as Node's small buffers do, and are not lent. */
const FEWEST_BYTES = Buffer.poolSize >>> 1

/** Pieces differ by a line or two, and each is to have room where another one was. */
const PAGE_BYTES = 4096

/** All that is on its way at a time where a mebibyte is dressed at once; what is held back beyond that is fresh. */
const MAX_FREE_BYTES = 4 * 1024 * 1024

/** Memory, and how much of it is out: a part of that alone must not come back, because somebody may have the rest. */
interface Piece {
  readonly memory: ArrayBufferLike
  outBytes: number
}

export class PiecePool {
  readonly #free: Piece[] = []
  #freeBytes = 0
  readonly #pieces = new WeakMap<ArrayBufferLike, Piece>()
  /** The largest that came back. All become as large, so that each does for every piece. */
  #usualBytes = 0

  /** A buffer of exactly so many bytes, whatever stands in them. */
  take(bytes: number): Buffer {
    const piece = this.#free.pop()
    this.#freeBytes -= piece?.memory.byteLength ?? 0
    if (piece !== undefined && piece.memory.byteLength >= bytes) return lend(piece, bytes)
    if (bytes < FEWEST_BYTES) return Buffer.allocUnsafe(bytes)
    const wholePages = Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES
    const { buffer: memory } = Buffer.allocUnsafeSlow(Math.max(this.#usualBytes, wholePages))
    const fresh: Piece = { memory, outBytes: 0 }
    this.#pieces.set(memory, fresh)
    return lend(fresh, bytes)
  }

  /** @returns the first bytes of a buffer from `take`: only they go out, and are to come back */
  shorten(buffer: Buffer, bytes: number): Buffer {
    const piece = this.#pieces.get(buffer.buffer)
    if (piece === undefined) return buffer.subarray(0, bytes)
    const shorter = lend(piece, bytes)
    if (bytes === 0) this.takeBack([shorter])
    return shorter
  }

  /** Takes back what it has lent, and whole; everything else is left alone. */
  takeBack(buffers: readonly Buffer[]): void {
    for (const { buffer, byteOffset, length } of buffers) {
      const piece = this.#pieces.get(buffer)
      if (piece === undefined || byteOffset !== 0 || piece.outBytes !== length) continue
      piece.outBytes = NONE_OUT
      this.#usualBytes = Math.max(this.#usualBytes, buffer.byteLength)
      if (buffer.byteLength < this.#usualBytes || this.#freeBytes + buffer.byteLength > MAX_FREE_BYTES) continue
      this.#free.push(piece)
      this.#freeBytes += buffer.byteLength
    }
  }
}

/** Of no view's length: what has come back does not come back again. */
const NONE_OUT = -1

const lend = (piece: Piece, bytes: number): Buffer => {
  piece.outBytes = bytes
  return Buffer.from(piece.memory, 0, bytes)
}
