/**
 * The file that came last, while it may still end soon: as views of the chunk it stands in, and when that is taken away, if
 * there is little of it, as a copy in memory that is always the same.
 *
 * One small file after another is cut by the end of a chunk. Memory of its own for each would cost more than its bytes.
 */

import type { MemoryAccount } from './memory-account.ts'

/** Held at most. Whoever is given so little copies it: `TarWriter`, and `HeldBytes` of a memory four times as large. */
const MAX_HELD_BYTES = 16 * 1024

export class PassingFile {
  readonly #account: MemoryAccount
  /** Taken when it is needed first. */
  #memory: Buffer | undefined
  #path: string | undefined
  #pieces: Buffer[] = []
  #sizeBytes = 0
  #heldBytes = 0

  constructor(account: MemoryAccount) {
    this.#account = account
  }

  /** Whose bytes these are; undefined when there is no such file. */
  get path(): string | undefined {
    return this.#path
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** Of these, what a `hold` would copy. */
  get lentBytes(): number {
    return this.#sizeBytes - this.#heldBytes
  }

  /** @param bytes lent until `hold` */
  take(path: string, bytes: Buffer): void {
    if (this.#path !== undefined && this.#path !== path) throw new Error('bug: two files pass at a time')
    this.#path = path
    this.#pieces.push(bytes)
    this.#sizeBytes += bytes.length
  }

  /** Copies what was only lent. @returns false when it is too much for that, and nothing was done */
  hold(): boolean {
    if (this.#sizeBytes > MAX_HELD_BYTES) return false
    this.#memory ??= Buffer.allocUnsafeSlow(4 * MAX_HELD_BYTES)
    const before = this.#heldBytes
    // What was held before stands there already.
    for (const piece of before > 0 ? this.#pieces.slice(1) : this.#pieces) {
      this.#heldBytes += piece.copy(this.#memory, this.#heldBytes)
    }
    this.#pieces = [this.#memory.subarray(0, this.#heldBytes)]
    this.#account.add(this.#heldBytes - before)
    return true
  }

  /** It passes no more: its bytes, in order, to be copied or looked at before the next ones are taken. */
  leave(): readonly Buffer[] {
    const pieces = this.#pieces
    this.#account.subtract(this.#heldBytes)
    this.#path = undefined
    this.#pieces = []
    this.#sizeBytes = 0
    this.#heldBytes = 0
    return pieces
  }
}
