/**
 * Keeps the last lines of a program, at most 64 KiB of them: enough to tell why it died, never more.
 *
 * Pure.
 */

/** A backup of 500 tables says 160 kB; why it failed is in the last screenful. */
export const LAST_LINES_BYTES = 64 * 1024

export class LastLines {
  readonly #limitBytes: number
  #lines: string[] = []
  #first = 0 // lines before this one are forgotten; the array is cut only now and then
  #bytes = 0

  constructor(limitBytes: number = LAST_LINES_BYTES) {
    this.#limitBytes = limitBytes
  }

  push(line: string): void {
    this.#lines.push(line)
    this.#bytes += Buffer.byteLength(line) + 1
    while (this.#bytes > this.#limitBytes) {
      this.#bytes -= Buffer.byteLength(this.#lines[this.#first] ?? '') + 1
      this.#first += 1
    }
    if (this.#first > 1024 && this.#first * 2 > this.#lines.length) {
      this.#lines = this.#lines.slice(this.#first)
      this.#first = 0
    }
  }

  lines(): string[] {
    return this.#lines.slice(this.#first)
  }
}
