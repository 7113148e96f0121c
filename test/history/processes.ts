/** Starts `journal-process.ts`, and hears what it tells line by line. */

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { plainEnvironment } from '../rig/run-program.ts'

export const JOURNAL_PROGRAM = fileURLToPath(new URL('./journal-process.js', import.meta.url))

export class JournalProcess {
  readonly child: ChildProcessWithoutNullStreams
  readonly told: string[] = []
  readonly #closed: Promise<number | null>
  #stderr = ''
  #onLine: () => void = () => undefined

  /** @param before a program and its options that starts ours, such as prlimit */
  constructor(words: readonly string[], before: readonly string[] = []) {
    const [program = '', ...options] = [...before, process.execPath, JOURNAL_PROGRAM, ...words]
    this.child = spawn(program, options, { env: plainEnvironment() })
    this.child.stdin.on('error', () => undefined) // it may be dead
    this.child.stderr.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString()
    })
    const lines = createInterface(this.child.stdout)
    lines.on('line', (line) => {
      this.told.push(line)
      this.#onLine()
    })
    const read = new Promise<void>((resolve) => lines.once('close', resolve))
    this.#closed = new Promise<number | null>((resolve, reject) => {
      this.child.once('error', reject).once('close', (code) => read.then(() => resolve(code)))
    })
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  /** Resolves when it has told so many lines. */
  async hasTold(lines: number): Promise<void> {
    const enough = new Promise<void>((resolve) => {
      this.#onLine = () => {
        if (this.told.length >= lines) resolve()
      }
      this.#onLine()
    })
    const early = this.#closed.then(() => {
      if (this.told.length < lines) throw new Error(`it ended after ${this.told.length} lines: ${this.#stderr}`)
    })
    await Promise.race([enough, early])
  }

  /** Waits for a good end. */
  async ended(): Promise<readonly string[]> {
    const code = await this.#closed
    if (code !== 0) throw new Error(`it ended with ${code}: ${this.#stderr}`)
    return this.told
  }

  /** SIGKILL, and waits until nothing of it is left. */
  async kill(): Promise<readonly string[]> {
    this.child.kill('SIGKILL')
    await this.#closed
    return this.told
  }
}
