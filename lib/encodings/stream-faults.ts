/**
 * The two ways a decoder says no: a byte that may not stand where it stands, and an end too early.
 *
 * Offsets count wire bytes from the start of the encoded stream. Found bytes are shown escaped,
 * because they come from a stranger and end up on a terminal.
 */

import { BackupError, type Facts } from '../errors/index.ts'

/** Shows bytes for people: printable ASCII as it is, the rest as `\n` or `\x00`, in double quotes. */
export const showBytes = (bytes: Uint8Array): string => {
  let shown = ''
  for (const byte of bytes) {
    if (byte === 0x0a) shown += '\\n'
    else if (byte === 0x22 || byte === 0x5c) shown += `\\${String.fromCharCode(byte)}`
    else if (byte >= 0x20 && byte < 0x7f) shown += String.fromCharCode(byte)
    else shown += `\\x${byte.toString(16).padStart(2, '0')}`
  }
  return `"${shown}"`
}

/** Where in the stream: the offset, and the unit as people count it, from 1. */
interface Place extends Facts {
  readonly offset: number
}

export const corrupt = (encoding: string, expected: string, found: string, place: Place): BackupError =>
  new BackupError(
    'ENCODING_CORRUPT',
    `${encoding} stream: expected ${expected} at byte ${place.offset}, found ${found}`,
    { encoding, expected, found, ...place },
  )

export const truncated = (encoding: string, expected: string, found: string, place: Place): BackupError =>
  new BackupError(
    'ENCODING_TRUNCATED',
    `${encoding} stream stops at byte ${place.offset}: expected ${expected}, found ${found}`,
    { encoding, expected, found, ...place },
    { hint: 'the other side stopped in the middle: its log says why' },
  )
