/**
 * The mark: one line at the very start of an archive that says what made it.
 *
 *     kv-backup-agent/0.1.0; engine=directory; engine-version=1; entries=12; bytes=34567
 *
 * It travels as the `comment` of a pax global header, which every tar program skips.
 * The receiving side learns from it which proof the archive has to pass.
 *
 * Text of other programs in that place (git writes a commit there) is no mark and no
 * error. Pure. Format: PROTOCOL.md, "The archive".
 */

import { BackupError } from '../errors/index.ts'
import { showPath } from './safe-path.ts'
import type { ArchiveMark } from './types.ts'

/** Far more than a mark needs; a longer comment is somebody else's. */
const MAX_MARK_CHARACTERS = 1024

const PRODUCT = /^[A-Za-z0-9._-]{1,64}\/[A-Za-z0-9._+~-]{1,64}$/
const ENGINE = /^[a-z0-9-]{1,64}$/
/** Versions come from a program's own mouth: `10.11.19-MariaDB`. Whatever else stands there is percent-encoded. */
const COUNT = /^(?:0|[1-9][0-9]{0,15})$/

const BLOCK_BYTES = 512

/**
 * Writes the mark as text.
 *
 * @throws BackupError `ARCHIVE_CORRUPT` when a field cannot be written so that it is read back the same
 */
export const encodeMark = (mark: ArchiveMark): string => {
  const fields = [mark.product, `engine=${mark.engine}`, `engine-version=${encodeURIComponent(mark.engineVersion)}`]
  if (mark.entries !== undefined) fields.push(`entries=${mark.entries}`)
  if (mark.bytes !== undefined) fields.push(`bytes=${mark.bytes}`)
  const text = fields.join('; ')
  if (parseMark(text) === undefined) throw broken('the mark to be written', text)
  return text
}

/**
 * Reads the mark out of the comment of a pax global header.
 *
 * Fields this version does not know are skipped: a later one may add some.
 *
 * @returns undefined when the text does not begin like a mark
 * @throws BackupError `ARCHIVE_CORRUPT` when it does, and then is none
 */
export const parseMark = (text: string): ArchiveMark | undefined => {
  if (text.length > MAX_MARK_CHARACTERS) return undefined
  const [product, first, ...others] = text.split('; ')
  if (product === undefined || !PRODUCT.test(product) || !first?.startsWith('engine=')) return undefined

  const fields = new Map<string, string>()
  for (const field of [first, ...others]) {
    const equals = field.indexOf('=')
    const key = field.slice(0, equals)
    if (equals < 1 || fields.has(key)) throw broken('a mark', text)
    fields.set(key, field.slice(equals + 1))
  }
  const engine = fields.get('engine') ?? ''
  const engineVersion = decoded(fields.get('engine-version') ?? '', text)
  if (!ENGINE.test(engine)) throw broken('a mark', text)
  const entries = count(fields.get('entries'), text)
  const bytes = count(fields.get('bytes'), text)
  return {
    product,
    engine,
    engineVersion,
    ...(entries === undefined ? {} : { entries }),
    ...(bytes === undefined ? {} : { bytes }),
  }
}

const count = (digits: string | undefined, text: string): number | undefined => {
  if (digits === undefined) return undefined
  const value = Number(digits)
  if (!COUNT.test(digits) || !Number.isSafeInteger(value)) throw broken('a mark', text)
  return value
}

const decoded = (value: string, text: string): string => {
  try {
    return decodeURIComponent(value)
  } catch {
    throw broken('a mark', text)
  }
}

const broken = (what: string, text: string): BackupError =>
  new BackupError(
    'ARCHIVE_CORRUPT',
    `expected ${what} of the form "product/version; engine=…", found ${showPath(text)}`,
  )

/**
 * A pax global header that holds nothing but a comment.
 *
 * Shape: one ustar header block of type `g`, then the record `LENGTH comment=TEXT\n` padded with zeros to whole
 * blocks. tar-stream cannot write this type, so the bytes are laid out here. It must be followed by a member:
 * Python's tarfile refuses an archive in which such a header comes last.
 *
 * @param text without control characters
 * @see POSIX pax, "pax Extended Header"; POSIX ustar header block
 */
export const commentHeader = (text: string): Buffer => {
  const record = paxRecord('comment', text)
  const bytes = Buffer.alloc(BLOCK_BYTES + Math.ceil(record.length / BLOCK_BYTES) * BLOCK_BYTES)
  bytes.write('pax_global_header', 0)
  bytes.write('0000644\0', 100) // mode
  bytes.write('0000000\0', 108) // uid
  bytes.write('0000000\0', 116) // gid
  bytes.write(`${record.length.toString(8).padStart(11, '0')}\0`, 124) // size
  bytes.write('00000000000\0', 136) // mtime
  bytes.write('        ', 148) // the checksum counts as spaces while it is summed
  bytes.write('g', 156)
  bytes.write('ustar\x0000', 257)
  let sum = 0
  for (const byte of bytes.subarray(0, BLOCK_BYTES)) sum += byte
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  record.copy(bytes, BLOCK_BYTES)
  return bytes
}

/** `LENGTH key=value\n`, where LENGTH counts itself. */
const paxRecord = (key: string, value: string): Buffer => {
  const rest = Buffer.from(` ${key}=${value}\n`)
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return Buffer.concat([Buffer.from(String(length)), rest])
}
