/**
 * Lines at the end of a file of the operator's: `file:/var/log/kv-backup-agent.log`.
 *
 *     write ─┬▶ still the file of that name ─▶ append
 *            └▶ moved away, removed         ─▶ begin a new one: logrotate needs to tell nobody
 *
 * Made 0640 and never through a symbolic link in the place of the file; one that belongs to another user than root, or
 * that everyone may write to, is not taken. A disk that is full
 * loses lines; what is cut there ends before the next line begins. Several agents may append
 * to one file.
 */

import { closeSync, constants, fstatSync, openSync, type Stats, statSync } from 'node:fs'

import { BackupError } from '../errors/index.ts'
import { writeWhole } from './descriptor-destination.ts'
import { type LogDestination, lostLine, safeLine } from './destination.ts'
import { uptimeMs } from './uptime.ts'

const MODE = 0o640
const WRITABLE_FOR_EVERYONE = 0o002

/** How often the name is looked at, milliseconds. */
const LOOK_MS = 1_000

/** O_NONBLOCK: a FIFO under that name must not make us wait for its reader. */
const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants

/** @throws BackupError `LOG_DESTINATION` when the file cannot be opened now; later on it only loses lines */
export const fileDestination = (path: string, nowMs: () => number = uptimeMs): LogDestination =>
  new FileDestination(path, nowMs, openLog(path))

/** The same for whoever has nobody to complain to: tries again with each line, once a second. */
export const patientFileDestination = (path: string, nowMs: () => number = uptimeMs): LogDestination =>
  new FileDestination(path, nowMs, tryOpen(path))

class FileDestination implements LogDestination {
  readonly #path: string
  readonly #nowMs: () => number
  #descriptor: number | undefined
  #lookedMs: number
  #lost = 0

  constructor(path: string, nowMs: () => number, descriptor: number | undefined) {
    this.#path = path
    this.#nowMs = nowMs
    this.#descriptor = descriptor
    this.#lookedMs = nowMs()
  }

  write(line: string): void {
    if (this.#nowMs() - this.#lookedMs >= LOOK_MS) this.#look()
    // A line that was cut has no end: the next one must not become part of it.
    const text = this.#lost === 0 ? safeLine(line) : `\n${lostLine(this.#lost)}${safeLine(line)}`
    if (this.#descriptor !== undefined && writeWhole(this.#descriptor, Buffer.from(text))) this.#lost = 0
    else this.#lost += 1
  }

  reopen(): void {
    this.#lookedMs = this.#nowMs()
    const next = tryOpen(this.#path)
    if (next === undefined && this.#descriptor !== undefined) return // better the old file than none
    if (this.#descriptor !== undefined) closeSync(this.#descriptor)
    this.#descriptor = next
  }

  async close(): Promise<void> {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor)
    this.#descriptor = undefined
    this.#lookedMs = Number.POSITIVE_INFINITY
  }

  #look(): void {
    this.#lookedMs = this.#nowMs()
    if (this.#descriptor === undefined || !isFileOf(this.#path, this.#descriptor)) this.reopen()
  }
}

const isFileOf = (path: string, descriptor: number): boolean => {
  try {
    const [named, open] = [statSync(path), fstatSync(descriptor)]
    return named.dev === open.dev && named.ino === open.ino
  } catch {
    return false
  }
}

const tryOpen = (path: string): number | undefined => {
  try {
    return openLog(path)
  } catch {
    return undefined
  }
}

const openLog = (path: string): number => {
  let descriptor: number
  try {
    descriptor = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, MODE)
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error'
    throw unusable(path, code === 'ELOOP' ? 'it is a symbolic link' : code, cause)
  }
  const problem = problemOf(fstatSync(descriptor))
  if (problem === undefined) return descriptor
  closeSync(descriptor)
  throw unusable(path, problem)
}

/** Who could put the file there could read every line of it. This room knows no other but errors. */
const problemOf = (found: Stats): string | undefined => {
  if (!found.isFile()) return 'it is not a file'
  if (found.uid !== 0 && found.uid !== process.geteuid?.()) return `it belongs to user ${found.uid}`
  return (found.mode & WRITABLE_FOR_EVERYONE) === 0 ? undefined : 'everyone may write to it'
}

const unusable = (path: string, problem: string, cause?: unknown): BackupError =>
  new BackupError(
    'LOG_DESTINATION',
    `cannot log to ${path}: ${problem}`,
    { path },
    { cause, hint: 'its directory must exist, and the file must be writable by the agent’s user' },
  )
