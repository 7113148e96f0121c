/**
 * What the tests of this room share: stand-in programs under the name of a real one, a log that remembers, a reader.
 */

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { EngineLog, EngineSettings } from '../../lib/engines/index.ts'

export const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../../fixtures/engines/${name}`, import.meta.url))

export const recorded = (name: string): string[] =>
  readFileSync(fixture(`mariadb-backup-10.11.19-${name}.txt`), 'utf8').split('\n')

const TOOLS = [
  'cat',
  'dirname',
  'env',
  'head',
  'mkfifo',
  'perl',
  'printf',
  'readlink',
  'rm',
  'sed',
  'sh',
  'sleep',
  'sort',
  'tail',
  'yes',
]

/** A private directory for one test file, with a runtime directory in it. */
export class Scratch {
  readonly path = mkdtempSync(join(tmpdir(), 'engines-'))
  readonly runtimeDirectory = this.directory('runtime')

  directory(name: string): string {
    const path = join(this.path, name)
    mkdirSync(path, { mode: 0o700, recursive: true })
    return path
  }

  /** A search path on which a stand-in goes by the name of a real program. */
  searchPath(programs: Record<string, string>): string {
    const bin = mkdtempSync(join(this.path, 'bin-'))
    for (const [name, standIn] of Object.entries(programs)) symlinkSync(fixture(standIn), join(bin, name))
    return [bin, this.#tools()].join(':')
  }

  /** The programs of this machine that stand-ins use, without any that makes a real backup. */
  #tools(): string {
    const tools = this.directory('tools')
    for (const name of TOOLS) {
      const from = ['/usr/bin', '/bin'].map((directory) => join(directory, name)).find((path) => existsSync(path))
      const to = join(tools, name)
      if (from !== undefined && !existsSync(to)) symlinkSync(from, to)
    }
    if (!existsSync(join(tools, 'node'))) symlinkSync(process.execPath, join(tools, 'node'))
    return tools
  }

  settings(more: Partial<EngineSettings> = {}): EngineSettings {
    return { engine: 'mariadb-backup', runtimeDirectory: this.runtimeDirectory, ...more }
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

export interface LogLine {
  readonly level: string
  readonly facts: Record<string, unknown>
  readonly message: string
}

/** A log that remembers, and tells a watcher of every line as it comes. */
export class MemoryLog implements EngineLog {
  readonly lines: LogLine[] = []
  readonly #watch: (line: LogLine) => void

  constructor(watch: (line: LogLine) => void = () => {}) {
    this.#watch = watch
  }

  debug = (facts: object, message: string): void => this.#add('debug', facts, message)
  info = (facts: object, message: string): void => this.#add('info', facts, message)
  warn = (facts: object, message: string): void => this.#add('warn', facts, message)

  #add(level: string, facts: object, message: string): void {
    const line = { level, facts: facts as Record<string, unknown>, message }
    this.lines.push(line)
    this.#watch(line)
  }
}

export const never = (): AbortSignal => new AbortController().signal

/** Reads to the end, or to the error, and says how much it was. */
export const drain = async (source: AsyncIterable<Buffer>): Promise<number> => {
  let bytes = 0
  try {
    for await (const piece of source) bytes += piece.length
  } catch {
    // a cancelled output ends with the reason; how much came is what counts
  }
  return bytes
}

export const readAll = async (source: AsyncIterable<Buffer>): Promise<Buffer> => {
  const pieces: Buffer[] = []
  for await (const piece of source) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** Whether a process is there; a zombie is. */
export const isThere = (pid: number): boolean => existsSync(`/proc/${pid}/stat`)

/**
 * Whether a process has ended: gone, or a zombie that the host's init has not reaped yet. A child of
 * ours must be gone, see `isThere`; what it started itself is not ours to reap.
 */
export const hasEnded = (pid: number): boolean => {
  const state = statOf(pid)?.[0]
  return state === undefined || state === 'Z' || state === 'X'
}

/** Whether every process of a group has ended, in the sense of `hasEnded`. */
export const groupHasEnded = (group: number): boolean =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .every((pid) => statOf(Number(pid))?.[2] !== String(group) || hasEnded(Number(pid)))

/** State, parent, group, … : what follows the name in /proc/<pid>/stat. */
const statOf = (pid: number): string[] | undefined => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}

/** Who has a lock of flock(2) on a file or directory, as the kernel tells. */
export const lockHolders = (path: string): number[] => {
  const { ino } = statSync(path)
  return readFileSync('/proc/locks', 'latin1')
    .split('\n')
    .map((line) => line.split(/\s+/))
    .filter(([, kind, , , , where]) => kind === 'FLOCK' && where?.endsWith(`:${ino}`))
    .map(([, , , , pid]) => Number(pid))
}

/** Every process that has a file or directory open. */
export const openedBy = (path: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => descriptorsOf(pid).includes(path))
    .map(Number)

const descriptorsOf = (pid: string): string[] => {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((descriptor) => readlinkSync(`/proc/${pid}/fd/${descriptor}`))
  } catch {
    return [] // it ended meanwhile
  }
}

/** Comes back when the condition holds; the test's own timeout ends a wait in vain. */
export const until = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve))
}
