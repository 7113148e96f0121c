/**
 * The standard output of a child that has much to say: read in large pieces, into buffers that may be given back.
 *
 *     child ─▶ socket ─▶ flow/read-pieces
 *
 * A pipe would be read 64 KiB at a time. A socket gives as much as it holds, some 200 KiB when the child is the faster
 * one. A pair of them cannot be asked of Node, so one end connects to the other in a directory that is ours alone; the
 * name is gone before the child is there.
 *
 * Measured: `npm run bench -- --only whole-way`.
 */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, constants, openSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'

import { ReadPieces } from '../flow/index.ts'

/** Half of what is read at a time: what waits in memory is counted by what is in it, and may be twice as much then. */
const FULL_BYTES = 128 * 1024

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
  readonly #pieces = new ReadPieces({
    fullBytes: FULL_BYTES,
    maxFree: MAX_FREE,
    resume: () => this.#socket.resume(),
    abandon: () => this.destroy(new Error('nobody reads it any more')),
  })
  readonly connected: Promise<unknown>
  /** Never rejects: everybody who had it open has closed it and everything was taken, or it was destroyed. */
  readonly closed = this.#pieces.closed
  /** As of `ReadPieces`. */
  readonly buffers = this.#pieces.buffers

  constructor(path: string) {
    this.#socket = connect({ path, onread: this.#pieces.onread })
    this.connected = once(this.#socket, 'connect')
    this.#socket.on('error', (error) => this.destroy(error))
    this.#socket.on('end', () => this.#pieces.end())
  }

  /** Bytes that have come so far, read or not. */
  get bytesRead(): number {
    return this.#pieces.bytesRead
  }

  get destroyed(): boolean {
    return this.#socket.destroyed
  }

  /** Drops what was not taken. Whoever reads it is told why. */
  destroy(error: unknown): void {
    this.#socket.destroy()
    this.#pieces.fail(error)
  }

  next(): Promise<IteratorResult<Buffer, undefined>> {
    return this.#pieces.next()
  }

  return(): Promise<IteratorResult<Buffer, undefined>> {
    return this.#pieces.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
