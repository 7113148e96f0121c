/**
 * Reads the lines of a growing file, from where it stopped the last time.
 *
 * Memory is bounded whatever the file holds: a line over the limit is handed on as
 * damage and skipped. The bytes after the last line feed wait for their end.
 */

import type { FileHandle } from 'node:fs/promises'

import { MAX_LINE_BYTES } from './journal-line.ts'

const READ_BYTES = 64 * 1024
const LF = 0x0a

export interface LineTaker {
  /** A line without its line feed, never empty. */
  take(line: Buffer): unknown
  /** A line that was too long to be one. */
  takeDamage(): void
}

export class LineScanner {
  readonly #file: FileHandle
  readonly #taker: LineTaker
  #offset = 0
  #carry: Buffer[] = []
  #carryBytes = 0
  #skipping = false // inside a line that is too long

  constructor(file: FileHandle, taker: LineTaker) {
    this.#file = file
    this.#taker = taker
  }

  /** Bytes read so far. */
  get offset(): number {
    return this.#offset
  }

  /** Hands on every line that is there by now. Errors of the system come through as they are. */
  async toEnd(): Promise<void> {
    for (;;) {
      const buffer = Buffer.allocUnsafe(READ_BYTES)
      const { bytesRead } = await this.#file.read(buffer, 0, READ_BYTES, this.#offset)
      if (bytesRead === 0) return
      this.#offset += bytesRead
      this.#feed(buffer.subarray(0, bytesRead))
    }
  }

  /** For a reader who will not come back: what stands after the last line feed is a line too, or damage. */
  finish(): void {
    if (this.#skipping || this.#carryBytes > 0) this.#endLine()
  }

  #feed(bytes: Buffer): void {
    let at = 0
    for (;;) {
      const end = bytes.indexOf(LF, at)
      this.#collect(bytes.subarray(at, end === -1 ? bytes.length : end))
      if (end === -1) return
      this.#endLine()
      at = end + 1
    }
  }

  #collect(piece: Buffer): void {
    if (piece.length === 0 || this.#skipping) return
    if (this.#carryBytes + piece.length > MAX_LINE_BYTES) {
      this.#skipping = true
      this.#carry = []
      this.#carryBytes = 0
      return
    }
    this.#carry.push(piece)
    this.#carryBytes += piece.length
  }

  #endLine(): void {
    const line = Buffer.concat(this.#carry, this.#carryBytes)
    const skipped = this.#skipping
    this.#carry = []
    this.#carryBytes = 0
    this.#skipping = false
    if (skipped) this.#taker.takeDamage()
    else if (line.length > 0) this.#taker.take(line)
  }
}
