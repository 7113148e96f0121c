/**
 * Reads one 512-byte tar header block: its checksum, its numbers, its names.
 *
 *     0 name 100 · mode 8 · uid 8 · gid 8 · size 12 · mtime 12 · checksum 8 · type 1 · link name 100 (157)
 *     257 magic 8 · owners 80 · prefix 155 (345)
 *
 * Strict where programs disagree: a number is octal digits with spaces before and spaces or NULs behind it, or base-256
 * with its top bit set. A number that one program would cut short and another would read on in is refused.
 *
 * Pure; what a type means and what follows the header is `tar-reader.ts`. Source: POSIX ustar; GNU tar manual, "Basic
 * Tar Format".
 */

import { BackupError } from '../errors/index.ts'

export const BLOCK_BYTES = 512

/** One header block as it stands, nothing applied that came before it. */
export interface TarHeaderBlock {
  /** With the prefix in front; a byte that is no UTF-8 has become U+FFFD. */
  readonly name: string
  readonly linkName: string
  /** One character; old archives hold a NUL for a file. */
  readonly typeflag: string
  readonly sizeBytes: number
  /** Permission bits and setuid, setgid, sticky: `0o7777` at most. */
  readonly mode: number
  readonly mtimeMs: number
}

const ZERO_BLOCK = Buffer.alloc(BLOCK_BYTES)
const SPACE = 0x20
const CHECKSUM_AT = 148
const CHECKSUM_BYTES = 8

/** POSIX writes `ustar`, a NUL and `00`; GNU writes `ustar`, two spaces and a NUL, and has no prefix. */
const POSIX_MAGIC = 'ustar\0'

export const isZeroBlock = (block: Buffer): boolean => block.equals(ZERO_BLOCK)

/**
 * Reads a header block that is not a zero block.
 *
 * @param at offset of the block in the archive, for the message
 * @throws BackupError `ARCHIVE_CORRUPT` for a wrong checksum or a number that is none; `ARCHIVE_LIMIT` for a size that
 *   is not a safe integer
 */
export const parseTarHeader = (block: Buffer, at: number): TarHeaderBlock => {
  checkSum(block, at)
  checkUnused(block, at)
  const name = text(block, 0, 100)
  const prefix = block.toString('latin1', 257, 263) === POSIX_MAGIC ? text(block, 345, 500) : ''
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    linkName: text(block, 157, 257),
    typeflag: String.fromCharCode(block[156] ?? 0),
    sizeBytes: size(block, at),
    mode: (number(block, 100, 108, 'mode', at) ?? 0) & 0o7777,
    mtimeMs: (number(block, 136, 148, 'time', at) ?? 0) * 1000,
  }
}

/**
 * The sum of all bytes, those of the checksum itself taken as spaces.
 *
 * Some old programs summed signed characters; both are accepted, as every tar does.
 */
const checkSum = (block: Buffer, at: number): void => {
  let unsigned = SPACE * CHECKSUM_BYTES
  let signed = unsigned
  for (let index = 0; index < BLOCK_BYTES; index += 1) {
    if (index === CHECKSUM_AT) index += CHECKSUM_BYTES
    const byte = block[index] ?? 0
    unsigned += byte
    signed += byte < 0x80 ? byte : byte - 0x100
  }
  const expected = octal(block, CHECKSUM_AT, CHECKSUM_AT + CHECKSUM_BYTES)
  if (expected !== unsigned && expected !== signed) {
    throw new BackupError('ARCHIVE_CORRUPT', `expected a tar header at byte ${at}, found its checksum to be wrong`, {
      offset: at,
    })
  }
}

/** Owners and devices mean nothing here, but where they are no numbers GNU tar and bsdtar refuse the archive. */
const checkUnused = (block: Buffer, at: number): void => {
  number(block, 108, 116, 'owner', at)
  number(block, 116, 124, 'group', at)
  if (block.toString('latin1', 257, 262) !== 'ustar') return
  number(block, 329, 337, 'device', at)
  number(block, 337, 345, 'device', at)
}

const size = (block: Buffer, at: number): number => {
  const value = number(block, 124, 136, 'size', at)
  if (value === undefined || value < 0) {
    throw new BackupError('ARCHIVE_CORRUPT', `expected a size in the tar header at byte ${at}, found none`, {
      offset: at,
    })
  }
  return value
}

/** @returns undefined for a field that is all spaces and NULs, which some programs write where they know nothing */
const number = (block: Buffer, from: number, to: number, what: string, at: number): number | undefined => {
  const first = block[from] ?? 0
  if (first >= 0x80) return base256(block, from, to, what, at)
  const value = octal(block, from, to)
  if (value !== undefined) return value
  if (/^[ \0]*$/.test(block.toString('latin1', from, to))) return undefined
  throw new BackupError('ARCHIVE_CORRUPT', `expected the ${what} in the tar header at byte ${at} to be a number`, {
    offset: at,
  })
}

const octal = (block: Buffer, from: number, to: number): number | undefined => {
  const digits = /^ *([0-7]+)[ \0]*$/.exec(block.toString('latin1', from, to))?.[1]
  return digits === undefined ? undefined : Number.parseInt(digits, 8)
}

/** Big-endian two's complement in which the top bit only says that it is binary: GNU's way to write what is too big. */
const base256 = (block: Buffer, from: number, to: number, what: string, at: number): number => {
  const first = block[from] ?? 0
  const isNegative = (first & 0x40) !== 0
  let value = isNegative ? (first | 0x80) - 0x100 : first & 0x7f
  for (const byte of block.subarray(from + 1, to)) value = value * 0x100 + byte
  if (!Number.isSafeInteger(value)) {
    throw new BackupError('ARCHIVE_LIMIT', `expected the ${what} in the tar header at byte ${at} to be below 2^53`, {
      offset: at,
    })
  }
  return value
}

/** Up to the first NUL, or the whole field. */
const text = (block: Buffer, from: number, to: number): string => {
  const nul = block.indexOf(0, from)
  return block.toString('utf8', from, nul === -1 || nul > to ? to : nul)
}
