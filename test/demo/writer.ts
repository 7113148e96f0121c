/**
 * Somebody who goes on working while the backup is taken.
 *
 * Writes one row after the other into the journal, numbered 1, 2, 3 …, each in a transaction of
 * its own, and knows at any moment which ones the server has confirmed.
 */

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'

import type { ThrowawayServer } from '../rig/mariadb-server.ts'
import { plainEnvironment } from '../rig/run-program.ts'
import { quoteName } from '../rig/sql-text.ts'
import { JOURNAL } from './fill.ts'
import { DemoFailure } from './story.ts'

/** Between two rows: some hundred rows a second, as a busy shop would. */
const PAUSE_MS = 2

const TABLE = `${quoteName(JOURNAL.database)}.${quoteName(JOURNAL.name)}`

export class Writer {
  readonly #client: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #confirmations: AsyncIterator<string>
  readonly #work: Promise<void>
  #complaint = ''
  #confirmed = 0
  #isStopping = false

  private constructor(server: ThrowawayServer) {
    // --unbuffered: a confirmation that waits in a buffer confirms nothing.
    this.#client = spawn('mariadb', [...server.clientOptions(), '--unbuffered'], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: plainEnvironment(),
      detached: true, // Ctrl-C in a terminal is for us; the client ends with its input
    })
    this.#client.stdin.on('error', () => {}) // the client is gone: #writeRows notices the missing confirmation
    this.#client.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#complaint += text
    })
    this.#confirmations = createInterface({ input: this.#client.stdout })[Symbol.asyncIterator]()
    this.#work = this.#writeRows()
    this.#work.catch(() => {}) // `stop` reports it
  }

  /** Starts writing, and returns when some rows are there. */
  static async start(server: ThrowawayServer): Promise<Writer> {
    const writer = new Writer(server)
    await Promise.race([writer.#work, writer.#untilConfirmed(50)])
    return writer
  }

  /** Number of the last row that the server has confirmed as committed; all before it are as well. */
  get confirmed(): number {
    return this.#confirmed
  }

  /** Stops after the row that is being written. Throws if a row was refused in the meantime. */
  async stop(): Promise<void> {
    this.#isStopping = true
    await this.#work
  }

  /** Ends it at once; for the tidying up. */
  kill(): void {
    this.#isStopping = true
    this.#client.kill('SIGKILL')
  }

  async #writeRows(): Promise<void> {
    while (!this.#isStopping) {
      const id = this.#confirmed + 1
      this.#client.stdin.write(`INSERT ${TABLE} VALUES (${id}, NOW(6), CONCAT('row ', ${id})); SELECT ${id};\n`)
      const { value } = await this.#confirmations.next()
      if (value !== String(id)) {
        throw new DemoFailure(`row ${id} of the journal could not be written: ${this.#complaint || `got ${value}`}`)
      }
      this.#confirmed = id
      await wait(PAUSE_MS)
    }
    this.#client.stdin.end()
    if (this.#client.exitCode === null && this.#client.signalCode === null) await once(this.#client, 'exit')
  }

  async #untilConfirmed(rows: number): Promise<void> {
    while (this.#confirmed < rows && !this.#isStopping) await wait(PAUSE_MS)
  }
}
