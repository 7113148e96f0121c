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
  const shown = JSON.stringify(text.slice(0, SHOWN_CHARACTERS))
  throw new BackupError(
    'ENCODING_UNKNOWN',
    `expected a stream encoding of ${known.join(', ')}, found ${shown}`,
    { found: shown, known },
    { hint: `leave agent-stream-encoding out: the default is ${ENCODINGS[DEFAULT_ENCODING]}` },
  )
}
