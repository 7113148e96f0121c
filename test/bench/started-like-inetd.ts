/**
 * Starts a program for one client, as inetd does: descriptors 0, 1 and 2 are the client's socket.
 *
 *     client ─▶ connect, request ─▶ accept ─▶ spawn ─▶ the program answers and ends
 *               │◀──────────── answerMs ───────────────▶│
 *                                  │◀── processMs ────────────────▶│
 *
 * This process is client and inetd at once, so both clocks are one.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'

import { plainEnvironment } from '../rig/run-program.ts'
import { ask } from './ask.ts'

/**
 * What the package's file for xinetd passes on. Node obeys much of an environment: with NODE_EXTRA_CA_CERTS it reads all
 * certificates of a host first, which takes it twice as long as everything else.
 */
const passedOn = (): Record<string, string> =>
  Object.fromEntries(Object.entries(plainEnvironment()).filter(([name]) => name === 'PATH' || name === 'TZ'))

export interface Served {
  readonly answer: string
  /** From connecting to the first byte of the answer. */
  readonly answerMs: number
  /** From starting the process to its end. */
  readonly processMs: number
}

export class LikeInetd {
  readonly #server: Server
  readonly #words: readonly [string, ...string[]]

  private constructor(server: Server, words: readonly [string, ...string[]]) {
    this.#server = server
    this.#words = words
  }

  static async listen(words: readonly [string, ...string[]]): Promise<LikeInetd> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new LikeInetd(server, words)
  }

  /** Serves one client with this request, by a process of its own. */
  async serve(request: string): Promise<Served> {
    const { port } = this.#server.address() as { port: number }
    const accepted = once(this.#server, 'connection') as Promise<[Socket]>
    const asked = ask(port, request)
    const [socket] = await accepted
    const startedMs = performance.now()
    const [program, ...args] = this.#words
    const child = spawn(program, args, { stdio: [socket, socket, socket], env: passedOn() })
    socket.destroy() // the child has it now; its end must be the end
    const [status] = (await once(child, 'exit')) as [number | null]
    const processMs = performance.now() - startedMs
    if (status !== 0) throw new Error(`${this.#words.join(' ')} ended with ${status}`)
    return { ...(await asked), processMs }
  }

  close(): void {
    this.#server.close()
  }
}

/** From starting a program that talks to nobody to its end. @throws Error unless it ends well */
export const processMs = async ([program, ...args]: readonly [string, ...string[]]): Promise<number> => {
  const startedMs = performance.now()
  const child = spawn(program, args, { stdio: 'ignore', env: passedOn() })
  const [status] = (await once(child, 'exit')) as [number | null]
  if (status !== 0) throw new Error(`${program} ended with ${status}`)
  return performance.now() - startedMs
}
