/**
 * A compression as both sides name it: a program of a short list, a level, a number of threads.
 *
 *     agent-stream-compress=zstd:3      compression=zstd:3
 *                           name level
 *
 * Whatever a peer writes is reduced to this, and nothing else of it goes on: no path, no
 * option, no word. The numbers have bounds of their own. Pure. Rule: PROTOCOL.md, "Compression".
 */

import { BackupError } from '../errors/index.ts'
import { showWire } from './wire-text.ts'

export const COMPRESSORS = ['gzip', 'pigz', 'zstd', 'lz4', 'xz'] as const
export type CompressorName = (typeof COMPRESSORS)[number]

export interface Compression {
  readonly name: CompressorName
  /** Left out: the program's own. */
  readonly level?: number
  /** 0: as many as there are processors. Left out: the program's own. */
  readonly threads?: number
}

/**
 * Lowest and highest level of each, as their manuals say. Left out on purpose: levels that take a gigabyte of memory
 * (zstd --ultra) or days (pigz -11).
 */
export const LEVELS: Readonly<Record<CompressorName, readonly [number, number]>> = {
  gzip: [1, 9],
  pigz: [0, 9],
  zstd: [1, 19],
  lz4: [1, 12],
  xz: [0, 9],
}

/** More are a mistake, or meant to hurt. */
export const MAX_THREADS = 64

/** Up to three digits: more are a number of something else. */
const PLAIN = /^(?:0|[1-9][0-9]{0,2})$/

export const isCompressor = (name: string): name is CompressorName => (COMPRESSORS as readonly string[]).includes(name)

/** `zstd:3`; the level is said where one was asked for. What a peer is told, and what the history remembers. */
export const compressionText = ({ name, level }: Compression): string =>
  level === undefined ? name : `${name}:${level}`

/**
 * Reads `NAME` or `NAME:LEVEL`.
 *
 * @param where what it is the value of, for messages
 * @throws BackupError `COMPRESS_REFUSED`
 */
export const readCompression = (text: string, where: string): Compression => {
  const [name = '', level, ...more] = text.split(':')
  if (!isCompressor(name) || more.length > 0) {
    throw refused(`expected ${LIST}, with :LEVEL or not, as the value of ${where}, found ${showWire(text)}`, BY_NAME)
  }
  return level === undefined ? { name } : { name, level: readLevel(name, level, where) }
}

/** @throws BackupError `COMPRESS_REFUSED` */
export const readLevel = (name: CompressorName, digits: string, where: string): number => {
  const [lowest, highest] = LEVELS[name]
  const level = PLAIN.test(digits) ? Number(digits) : Number.NaN
  if (level >= lowest && level <= highest) return level
  const expected = `expected a level of ${lowest} to ${highest} for ${name} in ${where}`
  throw refused(`${expected}, found ${showWire(digits)}`, 'leave the level out for the usual one of the program')
}

/** @throws BackupError `COMPRESS_REFUSED` */
export const readThreads = (name: CompressorName, digits: string, where: string): number => {
  const lowest = name === 'pigz' ? 1 : 0 // it knows no "as many as there are"; that is what it does untold
  const threads = PLAIN.test(digits) ? Number(digits) : Number.NaN
  if (threads >= lowest && threads <= MAX_THREADS) return threads
  const expected = `expected ${lowest} to ${MAX_THREADS} threads for ${name} in ${where}`
  throw refused(`${expected}, found ${showWire(digits)}`, 'leave the threads out for the usual number of the program')
}

const LIST = `${COMPRESSORS.slice(0, -1).join(', ')} or ${COMPRESSORS.at(-1)}`
const BY_NAME = 'for example zstd:3'

export const refused = (message: string, hint: string): BackupError =>
  new BackupError('COMPRESS_REFUSED', message, {}, { hint })
