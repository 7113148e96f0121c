/**
 * The measures of `application/x-base64-stream`: sizes and alphabet, for both directions.
 *
 * The alphabet is the one of RFC 4648, section 4. Rule: PROTOCOL.md, "x-base64-stream".
 */

export const LINE_RAW_BYTES = 57
export const LINE_CHARACTERS = 76
/** With its line feed. */
export const LINE_WIRE_BYTES = 77
export const LINE_FEED = 0x0a
/** `=`, in place of the characters that the last one or two raw bytes do not fill. */
export const PADDING = 0x3d
/** `A`: six zero bits. */
export const ZERO = 0x41

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** The sextet for a character; `undefined` for padding, line feeds and everything that is not of the alphabet. */
export const sextetOf = (byte: number): number | undefined => {
  const sextet = ALPHABET.indexOf(String.fromCharCode(byte))
  return sextet === -1 ? undefined : sextet
}
