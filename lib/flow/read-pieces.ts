/**
 * What a socket gives, in large pieces, for one reader: read into buffers that may be given back.
 *
 *     socket ─▶ a buffer of 256 KiB ─┬▶ mostly full: handed on as it is
 *                                    └▶ mostly empty: copied out, and read into again at once
 *
 * What Node makes by itself of a socket reads 64 KiB at a time, each time into fresh memory, through the machinery of its
 * streams; and whoever handles a backup pays for every piece in each room that it passes. Here a piece is as large as
 * what the system has. Little is read ahead of who pulls.
 *
 * It is given to a socket as its `onread`, and told how that ends; no socket is known here. Pure.
 *
 * Measured: `npm run bench -- --only whole-way`, and `--only received` for a client.
 */

import { LentBuffers } from './lent-buffers.ts'

/** More than a local socket holds (`net.core.wmem_default`, 208 KiB), so that one read takes all that is there. */
const READ_BYTES = 256 * 1024

/** Read ahead of who pulls, at most, and the read that passes the bound. */
const AHEAD_BYTES = 256 * 1024

export interface ReadPiecesOptions {
  /** A piece that fills less of its buffer is copied: so that whoever keeps it for long keeps no empty memory with it. */
  readonly fullBytes: number
  /** So many buffers are kept to be read into again; what came back beyond that is collected. */
  readonly maxFree: number
  /** Has the socket read on. */
  resume(): void
  /** Nobody reads it any more. */
  abandon(): void
}

export class ReadPieces implements AsyncIterableIterator<Buffer, undefined> {
  readonly #options: ReadPiecesOptions
  /** What was read is to be given back to it, by whoever was the last to look at it. Never necessary. */
  readonly buffers: LentBuffers
  #buffer: Buffer
  readonly #ready: Buffer[] = []
  #readyBytes = 0
  #bytesRead = 0
  #hasEnded = false
  #failure: { readonly error: unknown } | undefined
  #wake: () => void = () => {}
  /** Never rejects: it has ended and everything was taken, or it failed. */
  readonly closed: Promise<void>
  #close: () => void = () => {}
  /** For the socket. Source: Node.js, "net.connect", `onread`. */
  readonly onread = {
    buffer: (): Buffer => this.#buffer,
    callback: (bytes: number): boolean => this.#take(bytes),
  }

  constructor(options: ReadPiecesOptions) {
    this.#options = options
    this.buffers = new LentBuffers(READ_BYTES, options.maxFree)
    this.#buffer = this.buffers.take()
    this.closed = new Promise((resolve) => {
      this.#close = resolve
    })
  }

  /** Bytes that have come so far, taken or not. */
  get bytesRead(): number {
    return this.#bytesRead
  }

  /** Bytes that have come and that nobody has asked for. */
  get readyBytes(): number {
    return this.#readyBytes
  }

  /** Nothing more comes. */
  end(): void {
    this.#hasEnded = true
    this.#settle()
  }

  /** Drops what was not taken. Whoever asks is told why. Does nothing when everything was taken, to its end. */
  fail(error: unknown): void {
    if (this.#failure !== undefined || this.#isOver) return
    this.#failure = { error }
    this.#ready.length = 0
    this.#readyBytes = 0
    this.#settle()
  }

  next(): Promise<IteratorResult<Buffer, undefined>> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error as Error)
    const piece = this.#ready.shift()
    if (piece !== undefined) {
      this.#readyBytes -= piece.length
      if (this.#ready.length === 0) this.#options.resume()
      this.#settle()
      return Promise.resolve({ done: false, value: piece })
    }
    if (this.#isOver) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve) => {
      this.#wake = () => resolve(this.next())
    })
  }

  return(): Promise<IteratorResult<Buffer, undefined>> {
    this.#options.abandon()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  get #isOver(): boolean {
    return this.#hasEnded && this.#ready.length === 0
  }

  /** @returns whether more may come at once */
  #take(bytes: number): boolean {
    if (this.#failure !== undefined) return false
    let piece: Buffer
    if (bytes < this.#options.fullBytes) {
      piece = Buffer.from(this.#buffer.subarray(0, bytes))
    } else {
      piece = this.buffers.lend(this.#buffer, bytes)
      this.#buffer = this.buffers.take()
    }
    this.#bytesRead += bytes
    this.#readyBytes += bytes
    this.#ready.push(piece)
    this.#settle()
    return this.#readyBytes < AHEAD_BYTES
  }

  /** After every change: tells who waits for it. */
  #settle(): void {
    const wake = this.#wake
    this.#wake = () => {}
    wake()
    if (this.#failure !== undefined || this.#isOver) this.#close()
  }
}
