/**
 * The three encodings: our names for them, and their names on the wire.
 *
 * Source: the wire key `agent-stream-encoding`; PROTOCOL.md, "Stream encodings".
 */

import { BackupError } from '../errors/index.ts'

/** Our name -> the MIME type on the wire. */
export const ENCODINGS = {
  uuencode: 'application/x-uuencode-stream',
  base64: 'application/x-base64-stream',
  octet: 'application/octet-stream',
} as const

export type EncodingName = keyof typeof ENCODINGS

/** What a client gets that does not ask for anything: deployed clients count on it. */
export const DEFAULT_ENCODING: EncodingName = 'uuencode'

/** A refusal shows this much of what it refuses. */
const SHOWN_CHARACTERS = 80

/** What JSON leaves as it is and a terminal may obey: DEL, C1, and what turns the direction of writing. */
const UNSAFE_TO_SHOW = /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

/**
 * @param text a MIME type as it stood on the wire; upper or lower case (RFC 2045, 5.1), no parameters
 * @param others what else whoever asks could have had: only for the refusal
 * @throws BackupError `ENCODING_UNKNOWN`, naming those that are known
 */
export const encodingFromMime = (text: string, others: readonly string[] = []): EncodingName => {
  for (const name of Object.keys(ENCODINGS) as EncodingName[]) {
    if (ENCODINGS[name] === text.toLowerCase()) return name
  }
  const known: string[] = [...Object.values(ENCODINGS), ...others]
  const shown = JSON.stringify(text.slice(0, SHOWN_CHARACTERS)).replace(
    UNSAFE_TO_SHOW,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  throw new BackupError(
    'ENCODING_UNKNOWN',
    `expected a stream encoding of ${known.join(', ')}, found ${shown}`,
    { found: shown, known },
    { hint: `leave agent-stream-encoding out: the default is ${ENCODINGS[DEFAULT_ENCODING]}` },
  )
}
