/**
 * Reads values off a command line, and writes them for people.
 *
 * Pure. A value that cannot be is refused with what was expected and an example.
 */

import { InvalidArgumentError } from 'commander'

import { type Address, type CountUnit, formatBytes, type Reading, readAddress, readCount } from '../config/index.ts'
import { BackupError } from '../errors/index.ts'
import { compressionText, readCompression } from '../protocol/index.ts'

export { type Address, formatBytes }

/** `HOST:PORT`, `[IPv6]:PORT`, or `HOST` alone where a default port is given. */
export const parseAddress =
  (defaultPort?: number) =>
  (text: string): Address =>
    accept(readAddress(text, defaultPort))

/** A whole number of something, within limits; bytes may carry K, M, G or T (powers of 1024). */
export const parseCount =
  (unit: CountUnit, min: number, max?: number) =>
  (text: string): number =>
    accept(readCount(text, unit, min, max))

const accept = <Value>(reading: Reading<Value>): Value => {
  if ('value' in reading) return reading.value
  throw new InvalidArgumentError(`${reading.problem.replace(/^e/, 'E')}.`)
}

/** `zstd`, `zstd:3` */
export const parseCompression = (text: string): string => {
  try {
    return compressionText(readCompression(text, 'the compression'))
  } catch (error) {
    if (error instanceof BackupError) throw new InvalidArgumentError(`${error.message}; ${error.hint ?? ''}.`)
    throw error
  }
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
