/**
 * The standard output of a child that has much to say: read in large pieces, into buffers that may be given back.
 *
 *     child ─▶ socket ─▶ a buffer of 256 KiB ─┬▶ mostly full: handed on as it is
 *                                             └▶ mostly empty: copied out, and read into again at once
 *
 * What Node makes by itself for a child's output reads 64 KiB at a time through the machinery of its streams, and a
 * backup pays for every piece in each room that it passes. Here a piece is as large as what the socket holds, some
 * 200 KiB when the child is the faster one. A pair of sockets cannot be asked of Node, so one end connects to the other
 * in a directory that is ours alone; the name is gone before the child is there.
 *
 * Measured: `npm run bench -- --only whole-way`.
 */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, constants, openSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'

import { LentBuffers } from '../flow/index.ts'

/** More than a socket holds (`net.core.wmem_default`, 208 KiB), so that one read takes all that is there. */
const READ_BYTES = 256 * 1024

/** Read ahead of who pulls, at most, and the read that passes the bound. */
const AHEAD_BYTES = 256 * 1024

/** A piece that fills less of its buffer is copied: it may be kept for long, and is counted by what is in it. */
const FULL_BYTES = READ_BYTES / 2

/**
 * Kept to be read into again: 16 MiB, as much as waits in the memory of a spill before it is full. While more is on its
 * way and comes back, all of it is used again; with fewer, each rush would be read into fresh memory.
 */
const MAX_FREE = 64

const NAME_BYTES = 16

/** Whether the name is one of ours, which an agent that was killed may have left behind. */
export const isChildSocketName = (name: string): boolean => /^\.output-[0-9a-f]{32}$/.test(name)

export interface ChildSocket {
  /** For the child; to be destroyed here when the child has it. */
  readonly childEnd: Socket
  readonly output: ChildOutput
}

/**
 * @param directory writable for nobody else
 * @throws the system's error when no socket can be made there
 */
export const openChildSocket = async (directory: string): Promise<ChildSocket> => {
  // The name of a socket has 107 bytes at most, and a directory may have a longer one.
  const held = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  const server = createServer({ pauseOnConnect: true })
  try {
    const path = `/proc/self/fd/${held}/.output-${randomBytes(NAME_BYTES).toString('hex')}`
    server.listen(path)
    await once(server, 'listening')
    const output = new ChildOutput(path)
    try {
      const childEnd = await acceptedFrom(server, output)
      childEnd.on('error', () => {}) // nothing is ever said on it here
      return { childEnd, output }
    } catch (error) {
      output.destroy(error)
      throw error
    }
  } finally {
    server.close() // takes the name away
    closeSync(held)
  }
}

const acceptedFrom = async (server: Server, output: ChildOutput): Promise<Socket> => {
  const accepted = once(server, 'connection') as Promise<[Socket]>
  // Where no descriptor is left for the other end, libuv takes the connection to close it, and tells nobody.
  const lost = output.closed.then(() =>
    Promise.reject(new Error('the socket of a child was closed before it was there')),
  )
  const [[childEnd]] = await Promise.race([Promise.all([accepted, output.connected]), lost])
  return childEnd
}

/** For one reader, who asks for a piece when he has done with the one before. */
export class ChildOutput implements AsyncIterableIterator<Buffer, undefined> {
  readonly #socket: Socket
  readonly connected: Promise<unknown>
  /** Never rejects: everybody who had it open has closed it and everything was taken, or it was destroyed. */
  readonly closed: Promise<void>
  #close: () => void = () => {}
  /** What was read is to be given back to it, by whoever was the last to look at it. Never necessary. */
  readonly buffers = new LentBuffers(READ_BYTES, MAX_FREE)
  #buffer = this.buffers.take()
  readonly #ready: Buffer[] = []
  #readyBytes = 0
  #bytesRead = 0
  #hasEnded = false
  #failure: { readonly error: unknown } | undefined
  #wake: () => void = () => {}

  constructor(path: string) {
    this.closed = new Promise((resolve) => {
      this.#close = resolve
    })
    this.#socket = connect({ path, onread: { buffer: () => this.#buffer, callback: (bytes) => this.#take(bytes) } })
    this.connected = once(this.#socket, 'connect')
    this.#socket.on('error', (error) => this.destroy(error))
    this.#socket.on('end', () => {
      this.#hasEnded = true
      this.#settle()
    })
  }

  /** Bytes that have come so far, read or not. */
  get bytesRead(): number {
    return this.#bytesRead
  }

  get destroyed(): boolean {
    return this.#socket.destroyed
  }

  /** Drops what was not taken. Whoever reads it is told why. */
  destroy(error: unknown): void {
    this.#socket.destroy()
    if (this.#failure !== undefined || this.#isOver) return
    this.#failure = { error }
    this.#ready.length = 0
    this.#settle()
  }

  next(): Promise<IteratorResult<Buffer, undefined>> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error as Error)
    const piece = this.#ready.shift()
    if (piece !== undefined) {
      this.#readyBytes -= piece.length
      if (this.#ready.length === 0) this.#socket.resume()
      this.#settle()
      return Promise.resolve({ done: false, value: piece })
    }
    if (this.#isOver) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve) => {
      this.#wake = () => resolve(this.next())
    })
  }

  return(): Promise<IteratorResult<Buffer, undefined>> {
    this.destroy(new Error('nobody reads it any more'))
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
    if (bytes < FULL_BYTES) {
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
