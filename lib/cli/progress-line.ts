/**
 * One line on a terminal that is written over and over, and disappears at the end.
 *
 * Goes to standard error, and only when that is a terminal: a log file or a pipe never
 * sees half a line.
 */

import { clearLine, cursorTo } from 'node:readline'
import type { WriteStream } from 'node:tty'

export class ProgressLine {
  readonly #terminal: WriteStream | undefined
  readonly #minMs: number
  #lastMs = Number.NEGATIVE_INFINITY
  #shown = false

  /** @param minMs milliseconds between two updates at least */
  constructor(stream: WriteStream = process.stderr, minMs = 200) {
    this.#terminal = stream.isTTY ? stream : undefined
    this.#minMs = minMs
  }

  show(text: string): void {
    const now = performance.now()
    if (this.#terminal === undefined || now - this.#lastMs < this.#minMs) return
    this.#lastMs = now
    this.#shown = true
    cursorTo(this.#terminal, 0)
    this.#terminal.write(text.slice(0, Math.max(this.#terminal.columns - 1, 20)))
    clearLine(this.#terminal, 1)
  }

  /** Takes the line away, so that what is printed next stands alone. */
  clear(): void {
    if (!this.#shown || this.#terminal === undefined) return
    this.#shown = false
    cursorTo(this.#terminal, 0)
    clearLine(this.#terminal, 0)
  }
}
