/**
 * An agent whose every word is kept, wherever it logs to.
 *
 *     standard error   JSON, as a service manager gets it
 *     a file           the same lines, in a file of its home
 *     a terminal       readable lines, by way of script(1), which gives it one
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { AGENT_PROGRAM } from '../rig/agent-process.ts'
import { freePort } from '../rig/free-port.ts'
import { forgetProcess, watchProcess } from '../rig/guard.ts'
import { plainEnvironment } from '../rig/run-program.ts'
import type { AgentHome } from './agent-home.ts'
import { descendantsOf, untilNone } from './host-look.ts'

export interface WatchedAgent {
  readonly home: AgentHome
  readonly pid: number
  readonly port: number
  /** Everything that it has logged and said so far. */
  words(): string
  stop(): Promise<void>
}

/** Node starts in a tenth of this; an engine may have to be asked for its version. */
const LISTENING_WITHIN_MS = 60_000

export const toStandardError = async (home: AgentHome, options: readonly string[]): Promise<WatchedAgent> => {
  const agent = await home.start(options)
  return {
    home,
    pid: agent.pid,
    port: agent.port,
    words: () => agent.stderr + agent.stdout,
    stop: async () => void (await agent.stop()),
  }
}

export const toFile = async (home: AgentHome, options: readonly string[]): Promise<WatchedAgent> => {
  const log = join(home.path, 'agent.log')
  const port = await freePort()
  const child = spawn(process.execPath, [...wordsOf(home, port, options), `--log=file:${log}`], {
    env: { ...plainEnvironment(), TMPDIR: home.temporary },
    detached: true,
  })
  const said = collected(child)
  const words = (): string => said() + (existsSync(log) ? readFileSync(log, 'utf8') : '')
  return await listening({ home, port, words, child, pid: () => child.pid })
}

export const toTerminal = async (home: AgentHome, options: readonly string[]): Promise<WatchedAgent> => {
  const port = await freePort()
  const command = [process.execPath, ...wordsOf(home, port, options)].map(quoted).join(' ')
  const child = spawn('script', ['--quiet', '--flush', '--return', '--command', `exec ${command}`, '/dev/null'], {
    env: { ...plainEnvironment(), TMPDIR: home.temporary },
    detached: true,
  })
  const words = collected(child)
  const pid = (): number | undefined =>
    descendantsOf(child.pid ?? 0).find((seen) => seen.command.includes(AGENT_PROGRAM))?.pid
  return await listening({ home, port, words, child, pid })
}

const wordsOf = (home: AgentHome, port: number, options: readonly string[]): string[] => [
  ...[AGENT_PROGRAM, 'serve', '--listen', `127.0.0.1:${port}`],
  ...['--spool-dir', home.spool, '--state-dir', home.state],
  ...options,
]

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`

const collected = (child: ChildProcess): (() => string) => {
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
  }
  return () => said
}

interface Starting {
  readonly home: AgentHome
  readonly port: number
  readonly words: () => string
  readonly child: ChildProcess
  /** Of the agent, once it is there. */
  readonly pid: () => number | undefined
}

const listening = async ({ home, port, words, child, pid }: Starting): Promise<WatchedAgent> => {
  watchProcess(child.pid ?? 0, AGENT_PROGRAM)
  const { left } = await untilNone(() => (words().includes('listening') ? [] : ['it']), LISTENING_WITHIN_MS)
  const agent = pid()
  if (left.length > 0 || agent === undefined) throw new Error(`the agent does not listen: ${words()}`)
  return {
    home,
    pid: agent,
    port,
    words,
    stop: async () => {
      const closed = once(child, 'close')
      process.kill(agent, 'SIGTERM')
      await closed
      forgetProcess(child.pid ?? 0)
    },
  }
}
