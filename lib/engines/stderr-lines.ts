/**
 * Cuts a program's stderr into lines, with memory that does not grow with it.
 *
 * A line longer than the limit is cut there and its rest is counted but not kept: a
 * program that writes without line ends must not cost more than one that does. Bytes
 * that are no UTF-8 become U+FFFD, because these are words for people.
 *
 * Pure.
 */

/** Longest line that is kept. mariadb-backup's own are under 300 bytes; its SHOW GRANTS may be longer. */
export const MAX_LINE_BYTES = 8192

const LF = 0x0a

export class StderrLines {
  readonly #carry = Buffer.allocUnsafe(MAX_LINE_BYTES)
  #carryBytes = 0
  #sawLine = false // a line is open, be it an empty one
  #bytes = 0

  /** Everything that was pushed. */
  get bytes(): number {
    return this.#bytes
  }

  /** @returns the lines completed by this chunk, without their line ends */
  *push(chunk: Buffer): Generator<string> {
    this.#bytes += chunk.length
    for (let at = 0; at < chunk.length; ) {
      const end = chunk.indexOf(LF, at)
      this.#keep(chunk.subarray(at, end === -1 ? chunk.length : end))
      if (end === -1) return
      yield this.#take()
      at = end + 1
    }
  }

  /** @returns the last line, when the program did not end it */
  *end(): Generator<string> {
    if (this.#sawLine) yield this.#take()
  }

  #keep(piece: Buffer): void {
    this.#sawLine = true
    const kept = Math.min(piece.length, MAX_LINE_BYTES - this.#carryBytes)
    piece.copy(this.#carry, this.#carryBytes, 0, kept)
    this.#carryBytes += kept
  }

  #take(): string {
    const line = this.#carry.toString('utf8', 0, this.#carryBytes)
    this.#carryBytes = 0
    this.#sawLine = false
    return line.endsWith('\r') ? line.slice(0, -1) : line
  }
}
