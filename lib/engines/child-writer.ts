/**
 * Keeps a program that reads lines on its standard input: `logger`, of util-linux.
 *
 *     logger --tag backup-agent --id=PID --prio-prefix     stdin ◀── <6>{"level":"info",…}
 *
 * One for a process, not for a line. It is no part of any backup: it may die and nobody is
 * told but who asks. When we are gone its input ends, and so does it. Rules as in `child.ts`:
 * no shell, a group of its own, a new environment. Syntax: logger(1).
 */

import type { spawn } from 'node:child_process'
import type { Writable } from 'node:stream'

import { cleanEnvironment, DEFAULT_SEARCH_PATH } from './clean-environment.ts'
import { findHostProgram } from './host-guards.ts'

/** How long it may take over its last lines. */
const CLOSE_MS = 2_000

/** Longer than the lines that it is given, so that it cuts or splits none. */
const MAX_LINE_BYTES = 4096

export interface ChildWriter {
  write(text: string): void
  pendingBytes(): number
  isDead(): boolean
  close(): Promise<void>
}

/**
 * Loads what starts programs: who logs elsewhere does without.
 *
 * @param tag what syslog calls the program
 * @param socketPath of the syslog daemon; its usual one when left out
 * @returns starts it; gives undefined where there is no such program. Nothing of it throws
 */
export const loggerStarter = async (tag: string, socketPath?: string): Promise<() => ChildWriter | undefined> => {
  const { spawn } = await import('node:child_process')
  return () => startLogger(spawn, tag, socketPath)
}

const startLogger = (start: typeof spawn, tag: string, socketPath?: string): ChildWriter | undefined => {
  const program = findHostProgram('logger')
  if (program === undefined) return undefined
  const words = ['--tag', tag, `--id=${process.pid}`, '--prio-prefix', '--priority', 'daemon.info', '--size']
  const socket = socketPath === undefined ? [] : ['--socket', socketPath]
  return startWriter(start, program, [...words, `${MAX_LINE_BYTES}`, ...socket])
}

const startWriter = (start: typeof spawn, program: string, args: readonly string[]): ChildWriter => {
  const child = start(program, [...args], {
    stdio: ['pipe', 'ignore', 'ignore'],
    env: cleanEnvironment(DEFAULT_SEARCH_PATH, undefined),
    shell: false,
    detached: true, // Ctrl-C on our terminal is not for it: the last lines come after that
  })
  let dead = false
  const ended = new Promise<void>((resolve) => {
    const end = (): void => {
      dead = true
      resolve()
    }
    child.once('exit', end).once('error', end)
  })
  const { stdin } = child
  stdin.on('error', () => {
    dead = true // it reads no more
  })
  child.unref() // a log keeps no program alive
  keepAlive(stdin, false)
  return {
    write: (text) => void (dead || stdin.write(text)),
    pendingBytes: () => stdin.writableLength,
    isDead: () => dead,
    close: async () => {
      if (dead) return
      child.ref()
      keepAlive(stdin, true)
      const tooLate = setTimeout(() => child.kill('SIGKILL'), CLOSE_MS)
      stdin.end()
      await ended
      clearTimeout(tooLate)
    },
  }
}

/** A pipe is a socket to Node, which its types do not say. */
const keepAlive = (stream: Writable, wanted: boolean): void => {
  const pipe = stream as Writable & { ref(): void; unref(): void }
  if (wanted) pipe.ref()
  else pipe.unref()
}
