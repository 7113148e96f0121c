/**
 * Buffers in a row, and how many bytes they are. Copies nothing: a buffer that must be
 * cut is cut into two views.
 */

export class ByteQueue {
  #buffers: Buffer[] = []
  #from = 0 // of `#buffers`: what lies before is gone
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  push(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#buffers.push(bytes)
    this.#bytes += bytes.length
  }

  /** Puts buffers before all others, in their order. */
  unshift(buffers: readonly Buffer[]): void {
    this.#buffers = [...buffers, ...this.#buffers.slice(this.#from)]
    this.#from = 0
    for (const { length } of buffers) this.#bytes += length
  }

  /** The first buffer, as it was pushed. */
  shift(): Buffer | undefined {
    const first = this.#buffers[this.#from]
    if (first === undefined) return undefined
    this.#buffers[this.#from] = GONE // or its memory would stay for as long as the row does
    this.#from += 1
    this.#bytes -= first.length
    // An array that only ever loses its first element moves all others each time; so this is done seldom.
    if (this.#from * 2 >= this.#buffers.length) {
      this.#buffers.splice(0, this.#from)
      this.#from = 0
    }
    return first
  }

  /** The first `maxBytes` bytes, or all when there are fewer. */
  take(maxBytes: number): Buffer[] {
    const taken: Buffer[] = []
    for (let left = maxBytes; left > 0; ) {
      const first = this.shift()
      if (first === undefined) break
      taken.push(first.subarray(0, left))
      if (first.length > left) this.unshift([first.subarray(left)])
      left -= first.length
    }
    return taken
  }

  clear(): void {
    this.#buffers = []
    this.#from = 0
    this.#bytes = 0
  }
}

const GONE = Buffer.alloc(0)
