/**
 * Cuts lines out of chunks that may be cut anywhere.
 *
 *     chunk 1    action=copy fr            kept: the chunk is only lent to us
 *     chunk 2    om\nuser=backupdb\nfi     first line joined, second one read in place
 *
 * A line inside one chunk is a view of it. Only a line that a chunk cut in two is
 * copied, every byte of it once, into a buffer that doubles and is used again. Each
 * byte is searched for LF once, so one byte at a time is as linear as all at once.
 * No more than one byte over the room for a line is ever looked at or kept.
 *
 * Pure. It does not know what a line may hold: that is for whoever asks.
 */

const LF = 0x0a
const NOTHING = Buffer.alloc(0)

/** So few bytes are looked at, and copied, faster here than by a call. A count line and what may not stand behind it are. */
const FEW_BYTES = 32

/** First size of the buffer for cut lines: most lines of a request fit. */
const FIRST_CARRY_BYTES = 64

export class LineReader {
  #carry: Buffer = NOTHING
  #carriedBytes = 0
  #next = 0

  /** Where the next line begins in the chunk last given. */
  get next(): number {
    return this.#next
  }

  /** Bytes of a line whose end has not come yet. */
  get carriedBytes(): number {
    return this.#carriedBytes
  }

  /**
   * Reads one line.
   *
   * @param chunk must hold at least one byte at `at`
   * @param roomBytes how long the line may be without its LF; the same for every call until the line is complete
   * @returns the line without its LF, valid until the next call; its first `roomBytes + 1` bytes when it is longer
   *   than the room, whether its end has come or not; undefined when the chunk ended first and was kept
   */
  read(chunk: Buffer, at: number, roomBytes: number): Buffer | undefined {
    const windowEnd = Math.min(chunk.length, at + roomBytes + 1 - this.#carriedBytes)
    const lf = findLineFeed(chunk, at, windowEnd)
    const end = lf === -1 ? windowEnd : lf
    this.#next = lf === -1 ? end : end + 1
    const isOver = this.#carriedBytes + end - at > roomBytes
    if (this.#carriedBytes === 0 && (isOver || lf !== -1)) return chunk.subarray(at, end)

    this.#keep(chunk, at, end, roomBytes)
    if (lf === -1 && !isOver) return undefined
    const line = this.#carry.subarray(0, this.#carriedBytes)
    this.#carriedBytes = 0
    return line
  }

  #keep(chunk: Buffer, start: number, end: number, roomBytes: number): void {
    const neededBytes = this.#carriedBytes + end - start
    if (neededBytes > this.#carry.length) {
      const doubledBytes = Math.min(roomBytes + 1, Math.max(FIRST_CARRY_BYTES, this.#carry.length * 2))
      const larger = Buffer.allocUnsafe(Math.max(neededBytes, doubledBytes))
      this.#carry.copy(larger, 0, 0, this.#carriedBytes)
      this.#carry = larger
    }
    if (end - start > FEW_BYTES) chunk.copy(this.#carry, this.#carriedBytes, start, end)
    else {
      for (let at = start; at < end; at += 1) this.#carry[this.#carriedBytes + at - start] = chunk[at] as number
    }
    this.#carriedBytes = neededBytes
  }
}

/** @returns its offset in the chunk; -1 when there is none from `start` to `end` */
const findLineFeed = (chunk: Buffer, start: number, end: number): number => {
  if (end - start > FEW_BYTES) {
    const found = chunk.subarray(start, end).indexOf(LF)
    return found === -1 ? -1 : start + found
  }
  for (let at = start; at < end; at += 1) if (chunk[at] === LF) return at
  return -1
}
