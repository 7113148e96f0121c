/**
 * Gathers what is written to a file into large pieces, and writes one of them while the next one fills.
 *
 *     write, write, … ─copy─▶ │ fills ▒▒▒▒▒     │
 *                             │ is written ▒▒▒▒▒│ ─▶ file
 *
 * A write of Node's is handed to a thread, and waking the thread and being woken by it takes longer than copying what
 * a socket gives at a time. What fails is told to whoever writes next, and at the latest to whoever flushes: before
 * `flush` has returned nothing is known to be in the file.
 */

const PIECE_BYTES = 1024 * 1024

/** So much is written as it is: to copy it would save nothing. */
const LARGE_BYTES = PIECE_BYTES / 4

export class GatheredWrites {
  readonly #writeAll: (bytes: Buffer) => Promise<void>
  #filling: Buffer | undefined
  #filledBytes = 0
  /** Where the piece lies that is written, or was last. */
  #other: Buffer | undefined
  #writing: Promise<void> = Promise.resolve()

  /** @param writeAll writes all of the bytes behind those of the call before; they stay as they are until it has */
  constructor(writeAll: (bytes: Buffer) => Promise<void>) {
    this.#writeAll = writeAll
  }

  /**
   * Takes the next bytes. The caller may do with them what it likes when it has returned.
   *
   * @throws what a write before this one was refused with
   */
  async write(bytes: Buffer): Promise<void> {
    if (bytes.length >= LARGE_BYTES) {
      await this.flush()
      await this.#begin(bytes)
      return
    }
    for (let at = 0; at < bytes.length; ) {
      this.#filling ??= Buffer.allocUnsafeSlow(PIECE_BYTES)
      const copied = bytes.copy(this.#filling, this.#filledBytes, at)
      this.#filledBytes += copied
      at += copied
      if (this.#filledBytes === PIECE_BYTES) await this.#handOver()
    }
  }

  /** Returns when everything was written. @throws what a write was refused with */
  async flush(): Promise<void> {
    if (this.#filledBytes > 0) await this.#handOver()
    await this.#writing
  }

  async #handOver(): Promise<void> {
    await this.#writing
    const piece = this.#filling?.subarray(0, this.#filledBytes)
    ;[this.#filling, this.#other] = [this.#other, this.#filling]
    this.#filledBytes = 0
    if (piece !== undefined) void this.#begin(piece)
  }

  /** Once one has failed, none is begun any more: whoever would do so waits for the last one first. */
  #begin(bytes: Buffer): Promise<void> {
    this.#writing = this.#writeAll(bytes)
    this.#writing.catch(() => undefined) // told to whoever comes next
    return this.#writing
  }
}
