/**
 * Reads the body of a pax header: records that say more about a member than its own header can.
 *
 *     19 path=shop/a.ibd\n       length of the record, itself included · space · key=value · newline
 *
 * Only what changes where a member lies, or what it is, is taken; every other key is skipped, as POSIX asks. The keys of
 * a sparse file are refused: its body is not what the file holds, and a reader that skipped them would write a wrong file.
 *
 * Pure. Source: POSIX pax, "pax Extended Header"; GNU tar manual, "Storing Sparse Files".
 */

import { BackupError } from '../errors/index.ts'
import { showPath } from './safe-path.ts'

/** The records we understand. */
export interface PaxRecords {
  readonly path?: string
  readonly linkPath?: string
  readonly sizeBytes?: number
  readonly mtimeMs?: number
  readonly comment?: string
}

const SPACE = 0x20
const EQUALS = 0x3d
const LF = 0x0a

/** A record is shorter than its body, which is at most 1 MiB. */
const MAX_LENGTH_DIGITS = 7

/**
 * @param at offset of the body in the archive, for the message
 * @throws BackupError `ARCHIVE_CORRUPT`; `ARCHIVE_LIMIT` for a size that is not a safe integer; `ARCHIVE_MEMBER_REFUSED`
 *   for a sparse file
 */
export const parsePaxRecords = (body: Buffer, at: number): PaxRecords => {
  const taken = new Map<string, string>()
  let start = 0
  while (start < body.length) {
    const space = body.subarray(start, start + MAX_LENGTH_DIGITS + 1).indexOf(SPACE)
    const digits = body.toString('latin1', start, start + Math.max(space, 0))
    const end = start + (/^[1-9][0-9]*$/.test(digits) ? Number(digits) : 0)
    const equals = body.indexOf(EQUALS, start)
    const keyStart = start + space + 1
    if (end > body.length || end <= keyStart || equals <= keyStart || equals >= end - 1 || body[end - 1] !== LF) {
      throw corrupt('a record "LENGTH key=value" in the pax header', at + start)
    }
    const key = body.toString('utf8', keyStart, equals)
    if (key.startsWith('GNU.sparse.')) throw sparse(at + start)
    if (isOurs(key)) {
      if (taken.has(key)) throw corrupt(`one record ${showPath(key)} in the pax header`, at + start)
      taken.set(key, body.toString('utf8', equals + 1, end - 1))
    }
    start = end
  }
  return {
    ...string('path', taken.get('path'), at),
    ...string('linkPath', taken.get('linkpath'), at),
    ...(taken.has('comment') ? { comment: taken.get('comment') ?? '' } : {}),
    ...size(taken.get('size'), at),
    ...time(taken.get('mtime'), at),
  }
}

const isOurs = (key: string): boolean =>
  key === 'path' || key === 'linkpath' || key === 'size' || key === 'mtime' || key === 'comment'

/** An empty value would mean "forget what an earlier header said"; nobody writes that for a name. */
const string = (key: 'path' | 'linkPath', value: string | undefined, at: number): PaxRecords => {
  if (value === undefined) return {}
  if (value === '') throw corrupt(`a value for "${key.toLowerCase()}" in the pax header`, at)
  return { [key]: value }
}

const size = (value: string | undefined, at: number): PaxRecords => {
  if (value === undefined) return {}
  if (!/^[0-9]{1,32}$/.test(value)) throw corrupt('plain digits for "size" in the pax header', at)
  const sizeBytes = Number(value)
  if (!Number.isSafeInteger(sizeBytes)) {
    throw new BackupError('ARCHIVE_LIMIT', `expected the size in the pax header at byte ${at} to be below 2^53`, {
      offset: at,
    })
  }
  return { sizeBytes }
}

const time = (value: string | undefined, at: number): PaxRecords => {
  if (value === undefined) return {}
  if (!/^-?[0-9]{1,15}(?:\.[0-9]{0,32})?$/.test(value)) throw corrupt('seconds for "mtime" in the pax header', at)
  return { mtimeMs: Math.floor(Number(value) * 1000) }
}

const corrupt = (expected: string, offset: number): BackupError =>
  new BackupError('ARCHIVE_CORRUPT', `expected ${expected} at byte ${offset}`, { offset })

const sparse = (offset: number): BackupError =>
  new BackupError(
    'ARCHIVE_MEMBER_REFUSED',
    `expected whole files, found one written sparse, with its holes left out, at byte ${offset}`,
    { offset },
    { hint: 'write the archive again without them: `bsdtar --no-read-sparse`, or GNU tar without `--sparse`' },
  )
