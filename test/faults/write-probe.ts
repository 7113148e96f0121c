/**
 * What the users of a server feel: one statement after the other on one connection, each timed.
 *
 * The server says when a statement is done; nothing of the time is the start of a program.
 */

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'

import type { ThrowawayServer } from '../rig/mariadb-server.ts'
import { plainEnvironment } from '../rig/run-program.ts'

export class WriteProbe {
  readonly #client: ChildProcessByStdio<Writable, Readable, null>
  readonly #statement: (count: number) => string
  readonly #pauseMs: number
  readonly #running: Promise<void>
  #done: (() => void) | undefined
  #isStopped = false
  #isBroken = false
  #askedMs: number | undefined
  #longestMs = 0
  #count = 0

  /** @param pauseMs between two statements */
  constructor(server: ThrowawayServer, statement: (count: number) => string, pauseMs: number) {
    this.#statement = statement
    this.#pauseMs = pauseMs
    // --unbuffered: a confirmation that waits in a buffer confirms nothing.
    this.#client = spawn('mariadb', [...server.clientOptions(), '--unbuffered'], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: plainEnvironment(),
      detached: true, // Ctrl-C in a terminal is for us; the client ends with its input
    })
    createInterface({ input: this.#client.stdout }).on('line', () => this.#done?.())
    this.#client.once('close', () => {
      this.#isBroken = !this.#isStopped
      this.#isStopped = true
      this.#done?.()
    })
    this.#client.stdin.on('error', () => undefined) // the server may be gone before us
    this.#running = this.#run()
  }

  /** Statements that went through. */
  get count(): number {
    return this.#count
  }

  /** The server refused a statement, or went away. */
  get isBroken(): boolean {
    return this.#isBroken
  }

  /** Milliseconds of the longest statement, one that is still running included. */
  get longestMs(): number {
    return Math.max(this.#longestMs, this.#askedMs === undefined ? 0 : performance.now() - this.#askedMs)
  }

  /** Ends after the statement that is running. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#running
    this.#client.stdin.end()
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const asked = performance.now()
      this.#askedMs = asked
      const done = new Promise<void>((resolve) => {
        this.#done = resolve
      })
      this.#client.stdin.write(`${this.#statement(this.#count)}; SELECT 'done';\n`)
      await done
      this.#longestMs = Math.max(this.#longestMs, performance.now() - asked)
      this.#askedMs = undefined
      this.#count += 1
      await delay(this.#pauseMs)
    }
  }
}
