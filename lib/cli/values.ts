/**
 * Reads values off a command line, and writes them for people.
 *
 * Pure. A value that cannot be is refused with what was expected and an example.
 */

import { InvalidArgumentError } from 'commander'

export interface Address {
  readonly host: string
  readonly port: number
}

const MAX_PORT = 65_535

/** `HOST:PORT`, `[IPv6]:PORT`, or `HOST` alone where a default port is given. */
export const parseAddress =
  (defaultPort?: number) =>
  (text: string): Address => {
    const match = /^(?:\[(?<six>[^\]]+)\]|(?<host>[^:[\]]+))(?::(?<port>\d{1,5}))?$/.exec(text)
    const host = match?.groups?.['six'] ?? match?.groups?.['host']
    const port = match?.groups?.['port'] === undefined ? defaultPort : Number(match.groups['port'])
    if (host === undefined || port === undefined || port > MAX_PORT) {
      const form = defaultPort === undefined ? 'HOST:PORT' : 'HOST or HOST:PORT'
      throw new InvalidArgumentError(`Expected ${form}, as in 127.0.0.1:25300 or [::1]:25300.`)
    }
    return { host, port }
  }

const POWERS = ['', 'K', 'M', 'G', 'T']

/** Timers of Node go no further than 24 days. */
const MAX_SECONDS = 2_000_000

/** A whole number of something, within limits; bytes may carry K, M, G or T (powers of 1024). */
export const parseCount =
  (unit: 'bytes' | 'seconds', min: number, max = unit === 'bytes' ? Number.MAX_SAFE_INTEGER : MAX_SECONDS) =>
  (text: string): number => {
    const match = (unit === 'bytes' ? /^(\d{1,15})([KMGT]?)$/i : /^(\d{1,15})()$/).exec(text)
    const value =
      match === null ? Number.NaN : Number(match[1]) * 1024 ** POWERS.indexOf((match[2] ?? '').toUpperCase())
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      const example = unit === 'bytes' ? ', as in 512M' : ''
      throw new InvalidArgumentError(`Expected a whole number of ${unit}, ${min} or more${example}.`)
    }
    return value
  }

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** `1.4 GiB` */
export const formatBytes = (bytes: number): string => {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1)
  return power === 0 ? `${Math.round(bytes)} B` : `${(bytes / 1024 ** power).toFixed(1)} ${UNITS[power]}`
}

/** `47 s`, `3 min 05 s`, `2 h 10 min` */
export const formatSeconds = (seconds: number): string => {
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 60) return `${Math.round(seconds)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${String(Math.floor(seconds % 60)).padStart(2, '0')} s`
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`
}

/** `47 %  1.4 GiB` */
export const percent = (bytes: number, ofBytes: number): string =>
  `${ofBytes === 0 ? 100 : Math.floor((bytes / ofBytes) * 100)} %  ${formatBytes(bytes)}`
