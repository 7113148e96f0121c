/**
 * Bytes kept in memory, such that what is accounted is what is really taken.
 *
 * A view keeps its whole chunk alive: 100 bytes out of a 64 KiB read cost 64 KiB. So a
 * view is kept only when it is most of its chunk, and is accounted as the chunk;
 * anything smaller is copied to a tail that doubles as it fills.
 */

import type { MemoryAccount } from './memory-account.ts'

const FIRST_TAIL_BYTES = 512
/** A tail is no larger than the least that a busy child delivers at a time: the waste of the last one stays small. */
const MAX_TAIL_BYTES = 64 * 1024

export class HeldBytes {
  readonly #account: MemoryAccount
  #pieces: Buffer[] = []
  #length = 0
  #cost = 0
  /** The last piece, if there is room behind it: its backing store, and how much of it is used. */
  #tail: Buffer | undefined
  #tailUsed = 0

  constructor(account: MemoryAccount) {
    this.#account = account
  }

  /** Bytes held. */
  get length(): number {
    return this.#length
  }

  /** Bytes of memory they take. */
  get cost(): number {
    return this.#cost
  }

  /** What appending these bytes would add to the cost, at most. */
  costOf(bytes: Buffer): number {
    if (isMostOfItsChunk(bytes)) return bytes.buffer.byteLength
    const room = this.#tail === undefined ? 0 : this.#tail.length - this.#tailUsed
    return bytes.length <= room ? 0 : this.#nextTailBytes(bytes.length - room)
  }

  /** @param bytes may be a view of a chunk that is only lent */
  append(bytes: Buffer): void {
    const cost = this.costOf(bytes)
    this.#cost += cost
    this.#account.add(cost)
    this.#length += bytes.length
    if (isMostOfItsChunk(bytes)) {
      this.#closeTail()
      this.#pieces.push(bytes)
      this.#account.addView(bytes.length)
      return
    }
    let rest = bytes
    if (this.#tail !== undefined) {
      const copied = rest.copy(this.#tail, this.#tailUsed)
      this.#tailUsed += copied
      rest = rest.subarray(copied)
    }
    if (rest.length === 0) return
    this.#closeTail()
    this.#tail = Buffer.allocUnsafeSlow(cost)
    this.#tailUsed = rest.copy(this.#tail)
  }

  /** Takes everything out, piece by piece. The memory is accounted until the next piece is asked for. */
  *drain(): Generator<Buffer, void, undefined> {
    this.#closeTail()
    const pieces = this.#pieces
    this.#pieces = []
    this.#length = 0
    try {
      for (const piece of pieces) {
        yield piece
        this.#giveBack(piece.buffer.byteLength)
      }
    } finally {
      this.#giveBack(this.#cost) // whoever stops in the middle throws the rest away
    }
  }

  #nextTailBytes(needed: number): number {
    return Math.max(needed, Math.min(MAX_TAIL_BYTES, Math.max(FIRST_TAIL_BYTES, this.#length)))
  }

  #closeTail(): void {
    if (this.#tail !== undefined) this.#pieces.push(this.#tail.subarray(0, this.#tailUsed))
    this.#tail = undefined
    this.#tailUsed = 0
  }

  #giveBack(bytes: number): void {
    this.#cost -= bytes
    this.#account.subtract(bytes)
  }
}

const isMostOfItsChunk = (bytes: Buffer): boolean => bytes.length * 2 > bytes.buffer.byteLength
