/**
 * What characters a line may hold, and how odd ones are shown to people.
 *
 * A line is UTF-8 without control characters: C0 (TAB and CR among them), DEL and C1.
 * One class, no exceptions: whatever is let in here travels on into option files,
 * logs and terminals. Rule: PROTOCOL.md, "KV blocks".
 */

import { isUtf8 } from 'node:buffer'
import type { ErrorCode } from '../errors/index.ts'

/** How much of a foreign text a message shows. */
const SHOWN_CHARACTERS = 80

const NAMED_ESCAPES: Readonly<Record<number, string>> = { 9: '\\t', 10: '\\n', 13: '\\r', 34: '\\"', 92: '\\\\' }

/** Something a line may not hold, and how a message names it: by its place, without what stands around it. */
export interface Illegal {
  readonly code: Extract<ErrorCode, 'PROTOCOL_CONTROL_BYTE' | 'PROTOCOL_ENCODING_INVALID'>
  readonly found: string
}

/**
 * Looks for what no line may hold.
 *
 * C1 in UTF-8 is the byte C2 and one of 80 to 9F: terminals obey those as they do ESC.
 *
 * @returns undefined when the line is plain text
 */
export const findIllegal = (line: Buffer): Illegal | undefined => {
  for (let at = 0; at < line.length; at += 1) {
    const byte = line[at] as number
    const isC1 = byte >= 0x80 && byte <= 0x9f && line[at - 1] === 0xc2
    if (byte < 0x20 || byte === 0x7f || isC1) {
      const name = byte === 0x0d ? 'CR (lines end with LF alone)' : `control byte 0x${hex(byte)}`
      return { code: 'PROTOCOL_CONTROL_BYTE', found: `${name} at byte ${at + 1}` }
    }
  }
  return isUtf8(line) ? undefined : { code: 'PROTOCOL_ENCODING_INVALID', found: 'bytes that are not valid UTF-8' }
}

/**
 * Foreign bytes as a message may show them: quoted, printable ASCII, everything else escaped, cut.
 *
 * Not for bytes that may hold a secret.
 */
export const showWire = (wire: Buffer | string): string => {
  let shown = ''
  for (const byte of Buffer.from(wire.slice(0, SHOWN_CHARACTERS + 1))) {
    const next = NAMED_ESCAPES[byte] ?? (byte < 0x20 || byte > 0x7e ? `\\x${hex(byte)}` : String.fromCharCode(byte))
    if (shown.length + next.length > SHOWN_CHARACTERS) return `"${shown}"…`
    shown += next
  }
  return `"${shown}"`
}

/** Half of a surrogate pair: it has no bytes in UTF-8. The `u` flag makes whole pairs pass. */
const LONE_SURROGATES = /[\ud800-\udfff]/gu

/** Whether the text has bytes in UTF-8 at all. */
export const isWellFormed = (text: string): boolean => text.search(LONE_SURROGATES) === -1

/**
 * Free text made fit for a value: LF becomes a backslash and an `n`, as deployed clients expect, and likewise every
 * other control character. Not reversible: a backslash that was there already stays alone.
 */
export const escapeControls = (text: string): string =>
  text.replace(LONE_SURROGATES, '\ufffd').replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
    const byte = character.charCodeAt(0)
    return NAMED_ESCAPES[byte] ?? `\\x${hex(byte)}`
  })

/** Cuts text to a number of UTF-8 bytes without cutting a character, an ellipsis included when it was cut. */
export const cutToBytes = (text: string, maxBytes: number): string => {
  const bytes = Buffer.from(text)
  if (bytes.length <= maxBytes) return text
  let end = maxBytes - ELLIPSIS_BYTES
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end -= 1
  return `${bytes.toString('utf8', 0, end)}…`
}

const ELLIPSIS_BYTES = Buffer.byteLength('…')

const hex = (byte: number): string => byte.toString(16).padStart(2, '0')
