/**
 * The agent as its users run it: `dist/programs/backup-agent.cjs serve …`, the very file that is shipped, in a process of its own.
 *
 *     const agent = await AgentProcess.start(['--engine', 'directory', '--directory', data])
 *     agent.port          the port that the system chose
 *     await agent.logged('job complete')
 *     await agent.stop()
 */

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'

import { forgetProcess, watchProcess } from './guard.ts'
import { lastLines, plainEnvironment } from './run-program.ts'

export const AGENT_PROGRAM = fileURLToPath(new URL('../../programs/backup-agent.cjs', import.meta.url))
export const CLIENT_PROGRAM = fileURLToPath(new URL('../../programs/backup-client.cjs', import.meta.url))

/** One line of the agent's log. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string }

export interface AgentEnd {
  readonly exitCode: number | null
  readonly killedBy: NodeJS.Signals | null
}

export interface AgentCircumstances {
  /** The whole environment; ours by default, without what Jest put there. */
  readonly environment?: Readonly<Record<string, string>>
  /**
   * A program, with its first arguments, that becomes the agent by exec(2): `prlimit --nofile=32`. One that stays as
   * its parent would get the signals in its place.
   */
  readonly launcher?: readonly string[]
}

/** Node starts in a tenth of this; an engine may have to be asked for its version. */
const LISTENING_WITHIN_MS = 30_000

type Watcher = (line: LogLine) => void

export class AgentProcess {
  readonly #process: ChildProcessByStdio<null, Readable, Readable>
  readonly #watchers = new Set<Watcher>()
  #stdout = ''

  /** The log so far, parsed. */
  readonly logs: LogLine[] = []
  /** Everything on standard error so far, as it came. */
  stderr = ''
  /** Resolves when the agent has ended. */
  readonly ended: Promise<AgentEnd>

  host = ''
  port = 0

  private constructor(child: ChildProcessByStdio<null, Readable, Readable>) {
    this.#process = child
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text
    })
    createInterface({ input: child.stderr }).on('line', (line) => this.#take(line))
    this.ended = once(child, 'close').then(([exitCode, killedBy]) => {
      forgetProcess(child.pid ?? 0)
      return { exitCode, killedBy }
    })
  }

  /**
   * Starts an agent and returns when it listens. Without `--listen` among the options it listens
   * on a free port of the loopback address; without `--state-dir` it keeps no history, so that
   * nothing is left on this machine.
   *
   * @param options what follows `backup-agent serve`
   */
  static async start(
    options: readonly string[] = [],
    { environment = plainEnvironment(), launcher = [] }: AgentCircumstances = {},
  ): Promise<AgentProcess> {
    const listen = options.includes('--listen') ? [] : ['--listen', '127.0.0.1:0']
    const history = options.includes('--state-dir') ? [] : ['--no-history']
    const words = [...launcher, process.execPath, AGENT_PROGRAM, 'serve', ...listen, ...history, ...options]
    const child = spawn(words[0] ?? '', words.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment,
      detached: true, // Ctrl-C in a terminal is for us; the agent goes when we say so
    })
    if (child.pid === undefined) throw (await once(child, 'error'))[0]
    watchProcess(child.pid, AGENT_PROGRAM)
    const agent = new AgentProcess(child)
    const tooLong = setTimeout(() => child.kill('SIGKILL'), LISTENING_WITHIN_MS)
    const listening = await agent.logged('listening').finally(() => clearTimeout(tooLong))
    agent.host = String(listening['host'])
    agent.port = Number(listening['port'])
    return agent
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  /** `host:port`, as the client's command line wants it. */
  get address(): string {
    return `${this.host}:${this.port}`
  }

  /** What the agent wrote to standard output; should stay empty. */
  get stdout(): string {
    return this.#stdout
  }

  /**
   * The first line with this message, or the first one that a function accepts: one that is
   * already there, or the next to come.
   *
   * @throws Error with the end of the log when the agent ends without it
   */
  async logged(wanted: string | ((line: LogLine) => boolean)): Promise<LogLine> {
    const fits = typeof wanted === 'string' ? (line: LogLine): boolean => line.msg === wanted : wanted
    const there = this.logs.find(fits)
    if (there !== undefined) return there
    let watcher: Watcher = () => {}
    try {
      return await new Promise((resolve, reject) => {
        watcher = (line) => {
          if (fits(line)) resolve(line)
        }
        this.#watchers.add(watcher)
        void this.ended.then(({ exitCode, killedBy }) => {
          const end = killedBy ?? `status ${exitCode}`
          reject(new Error(`the agent ended (${end}) before it logged what was awaited: ${wanted}\n${this.logTail}`))
        })
      })
    } finally {
      this.#watchers.delete(watcher)
    }
  }

  /** The end of the log, for an error message. */
  get logTail(): string {
    return lastLines(this.stderr, 15)
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name)
  }

  /** Sends a signal and waits for the end; `SIGTERM` is how a service manager stops it. */
  async stop(name: NodeJS.Signals = 'SIGTERM'): Promise<AgentEnd> {
    this.signal(name)
    return await this.ended
  }

  #take(text: string): void {
    this.stderr += `${text}\n`
    const line = parseLogLine(text)
    if (line === undefined) return
    this.logs.push(line)
    for (const watcher of this.#watchers) watcher(line)
  }
}

/** A line that is not JSON is a crash's report, and stays in `stderr`. */
const parseLogLine = (text: string): LogLine | undefined => {
  try {
    return JSON.parse(text) as LogLine
  } catch {
    return undefined
  }
}
