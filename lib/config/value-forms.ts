/**
 * The forms that a value of the configuration can have, and how each is read and shown.
 *
 *     form       option, environment        file                       shown
 *     address    127.0.0.1:25300            "127.0.0.1:25300"          127.0.0.1:25300
 *     bytes      1048576, 512M, 16GiB       1048576, "512M", "16GiB"   16.0 GiB
 *     seconds    300                        300                        300
 *     count      256                        256                        256
 *     flag       true, false                true, false                true
 *     path       /var/tmp (option: tmp)     "/var/tmp"                 /var/tmp
 *     paths                                 ["/var/log/mysql"]         /var/log/mysql, …
 *     one of     auto                       "auto"                     auto
 *     log        journal, file:/a.log       "journal", "file:/a.log"   journal
 *
 * Pure. A value that cannot be is a problem, said in words: what was expected, and an example.
 */

import { isAbsolute, normalize } from 'node:path'

import { LOG_TARGET_FORM, type LogTarget, readLogTarget, showLogTarget } from '../log/index.ts'

/** A problem is a clause that begins with "expected": lower case, no full stop. */
export type Reading<Value> = { readonly value: Value } | { readonly problem: string }

/** Only on a command line is it plain which directory a relative path starts from. */
export interface TextContext {
  readonly workingDirectory?: string
}

export interface Form<Value> {
  /** Reads an argument of the command line, or the value of an environment variable. */
  fromText(text: string, context?: TextContext): Reading<Value>
  /** Reads what the file holds, as its parser hands it over. */
  fromFile(value: unknown): Reading<Value>
  show(value: Value): string
  /** All values there are, where they can be counted. */
  readonly choices?: readonly string[]
}

export interface Address {
  readonly host: string
  readonly port: number
}

const MAX_PORT = 65_535

/** `HOST:PORT`, `[IPv6]:PORT`, or `HOST` alone where a default port is given. */
export const readAddress = (text: string, defaultPort?: number): Reading<Address> => {
  const match = /^(?:\[(?<six>[^\]]+)\]|(?<host>[^:[\]]+))(?::(?<port>\d{1,5}))?$/.exec(text)
  const host = match?.groups?.['six'] ?? match?.groups?.['host']
  const port = match?.groups?.['port'] === undefined ? defaultPort : Number(match.groups['port'])
  if (host === undefined || port === undefined || port > MAX_PORT) {
    const form = defaultPort === undefined ? 'HOST:PORT' : 'HOST or HOST:PORT'
    return { problem: `expected ${form}, as in 127.0.0.1:25300 or [::1]:25300` }
  }
  return { value: { host, port } }
}

export const showAddress = ({ host, port }: Address): string => `${host.includes(':') ? `[${host}]` : host}:${port}`

const POWERS = ['', 'K', 'M', 'G', 'T']

/** Timers of Node go no further than 24 days. */
const MAX_SECONDS = 2_000_000

/** A process has so many descriptors at most where nobody has raised the kernel's own limit. Source: proc(5), fs.nr_open. */
const MAX_CONNECTIONS = 1_000_000

export type CountUnit = 'bytes' | 'seconds' | 'connections'

const MAX_OF: Readonly<Record<CountUnit, number>> = {
  bytes: Number.MAX_SAFE_INTEGER,
  seconds: MAX_SECONDS,
  connections: MAX_CONNECTIONS,
}

/** A whole number of something, within limits; bytes may carry K, M, G, T or KiB, MiB, GiB, TiB (powers of 1024). */
export const readCount = (text: string, unit: CountUnit, min: number, max = MAX_OF[unit]): Reading<number> => {
  const match = (unit === 'bytes' ? /^(\d{1,15})(?:([KMGT])(?:iB)?)?$/i : /^(\d{1,15})()$/).exec(text)
  const power = POWERS.indexOf((match?.[2] ?? '').toUpperCase())
  return checkCount(match === null ? Number.NaN : Number(match[1]) * 1024 ** power, unit, min, max)
}

const checkCount = (value: number, unit: CountUnit, min: number, max = MAX_OF[unit]): Reading<number> => {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return { value }
  const example = unit === 'bytes' ? ', as in 512M or 16GiB' : ''
  return { problem: `expected a whole number of ${unit}, ${min} or more${example}` }
}

export const ADDRESS: Form<Address> = {
  fromText: (text) => readAddress(text),
  fromFile: (value) => (typeof value === 'string' ? readAddress(value) : readAddress('')),
  show: showAddress,
}

export const bytesForm = (min: number): Form<number> => ({
  fromText: (text) => readCount(text, 'bytes', min),
  fromFile: (value) =>
    typeof value === 'string'
      ? readCount(value, 'bytes', min)
      : checkCount(typeof value === 'number' ? value : Number.NaN, 'bytes', min),
  show: formatBytes,
})

const plainCountForm = (unit: CountUnit, min: number): Form<number> => ({
  fromText: (text) => readCount(text, unit, min),
  fromFile: (value) => checkCount(typeof value === 'number' ? value : Number.NaN, unit, min),
  show: String,
})

export const secondsForm = (min: number): Form<number> => plainCountForm('seconds', min)

export const CONNECTIONS: Form<number> = plainCountForm('connections', 1)

const FLAGS: Readonly<Record<string, boolean>> = { true: true, false: false }

export const FLAG: Form<boolean> = {
  fromText: (text) => {
    const value = Object.hasOwn(FLAGS, text) ? FLAGS[text] : undefined
    return value === undefined ? { problem: 'expected true or false' } : { value }
  },
  fromFile: (value) => (typeof value === 'boolean' ? { value } : { problem: 'expected true or false, without quotes' }),
  show: String,
  choices: Object.keys(FLAGS),
}

const CONTROL = /[\u0000-\u001f\u007f-\u009f]/

/** Written in one way only: paths are compared as texts when a client selects by them. */
const readPath = (text: string, workingDirectory?: string): Reading<string> => {
  const path = workingDirectory === undefined || isAbsolute(text) ? text : `${workingDirectory}/${text}`
  if (text === '' || CONTROL.test(text) || !isAbsolute(path)) {
    return { problem: `expected ${workingDirectory === undefined ? 'an absolute path' : 'a path'}` }
  }
  const tidy = normalize(path)
  return { value: tidy.length > 1 && tidy.endsWith('/') ? tidy.slice(0, -1) : tidy }
}

export const PATH: Form<string> = {
  fromText: (text, { workingDirectory } = {}) => readPath(text, workingDirectory),
  fromFile: (value) => readPath(typeof value === 'string' ? value : ''),
  show: (path) => path,
}

export const PATHS: Form<readonly string[]> = {
  fromText: () => ({ problem: 'expected in the file only' }),
  fromFile: (value) => {
    const readings = Array.isArray(value) ? value.map((one) => PATH.fromFile(one)) : undefined
    const paths = readings?.flatMap((reading) => ('value' in reading ? [reading.value] : []))
    if (paths === undefined || paths.length !== readings?.length) {
      return { problem: 'expected a list of absolute paths, as in ["/var/log/mysql"]' }
    }
    return { value: paths }
  },
  show: (paths) => paths.join(', '),
}

export const oneOf = <const Choice extends string>(choices: readonly Choice[]): Form<Choice> => {
  const read = (text: unknown): Reading<Choice> => {
    const value = choices.find((choice) => choice === text)
    return value === undefined ? { problem: `expected one of ${choices.join(', ')}` } : { value }
  }
  return { fromText: (text) => read(text), fromFile: read, show: (value) => value, choices }
}

const readLog = (text: unknown): Reading<LogTarget> => {
  const value = typeof text === 'string' && !CONTROL.test(text) ? readLogTarget(text) : undefined
  return value === undefined ? { problem: `expected ${LOG_TARGET_FORM}` } : { value }
}

export const LOG_TARGET: Form<LogTarget> = { fromText: readLog, fromFile: readLog, show: showLogTarget }

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** `1.4 GiB` */
export const formatBytes = (bytes: number): string => {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1)
  return power === 0 ? `${Math.round(bytes)} B` : `${(bytes / 1024 ** power).toFixed(1)} ${UNITS[power]}`
}
