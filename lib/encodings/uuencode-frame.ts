/**
 * The measures of `application/x-uuencode-stream`: sizes and alphabet, for both directions.
 *
 *     00 00 37 20            u32be: bytes in the body (14112 for 10240 raw bytes)
 *     M…60 characters…\n     45 raw bytes; M is 32 + 45
 *     …                      227 such lines
 *     9…36 characters…\n     the last 25 raw bytes, filled up to a group of three
 *
 * No begin line, no end line, no empty last line: a frame is what Perl's `pack('u')` gives for
 * one block, and decodes by itself. Rule: PROTOCOL.md, "x-uuencode-stream".
 */

import { BackupError } from '../errors/index.ts'
import { checkBlockBytes, MAX_BLOCK_BYTES } from './block-bytes.ts'

export const PREFIX_BYTES = 4
export const LINE_RAW_BYTES = 45
export const LINE_WIRE_BYTES = 62
export const LINE_FEED = 0x0a

const SPACE = 0x20
const GRAVE = 0x60

/**
 * What a deployed client allows: a frame longer than this many times the block size makes it stop.
 * It compares in floating point, and so do we.
 */
const DEPLOYED_CLIENT_FACTOR = 1.38

/** The character for a sextet, or for the count of a line. Zero is a grave accent: some mailers used to eat spaces. */
export const characterOf = (sextet: number): number => (sextet === 0 ? GRAVE : SPACE + sextet)

/**
 * The sextet for a character. Zero may also be a space: encoders older than that habit wrote it, Python still
 * does, and it means nothing else.
 */
export const sextetOf = (byte: number): number | undefined => {
  if (byte < SPACE || byte > GRAVE) return undefined
  return byte === GRAVE ? 0 : byte - SPACE
}

/** Bytes of a line that carries 1 to 45 raw bytes: count, groups of four, line feed. */
export const lineBytes = (rawBytes: number): number => 2 + 4 * Math.ceil(rawBytes / 3)

/**
 * Size of one `application/x-uuencode-stream` frame body.
 *
 * Shape: a frame is `u32be bodyBytes`, then the body: one text line for every
 * 45 raw bytes, each `count character + 60 characters + LF`; the last line
 * carries only as many groups of three as it needs.
 *
 *     62 × floor(raw / 45) + (rest = 0 ? 0 : 2 + 4 × ceil(rest / 3))
 *
 * @param blockBytes raw bytes in the block, 1 to `MAX_BLOCK_BYTES`
 * @returns bytes on the wire after the 4-byte prefix; 10240 raw bytes give 14112, the most is 1444708
 * @throws BackupError `ENCODING_BLOCK_SIZE` when `blockBytes` is out of bounds
 * @see PROTOCOL.md, "x-uuencode-stream"; fixtures/encodings/uuencode-10240.bin
 */
export const uuencodedBytes = (blockBytes: number): number => {
  if (!Number.isInteger(blockBytes) || blockBytes < 1 || blockBytes > MAX_BLOCK_BYTES) {
    throw new BackupError(
      'ENCODING_BLOCK_SIZE',
      `expected a frame of 1 to ${MAX_BLOCK_BYTES} whole raw bytes, found ${blockBytes}`,
      { found: String(blockBytes), minBlockBytes: 1, maxBlockBytes: MAX_BLOCK_BYTES },
    )
  }
  const restBytes = blockBytes % LINE_RAW_BYTES
  const fullLines = (blockBytes - restBytes) / LINE_RAW_BYTES
  return fullLines * LINE_WIRE_BYTES + (restBytes === 0 ? 0 : lineBytes(restBytes))
}

/**
 * Whether a frame body can have this size: full lines, then at most one line of 1 to 44 raw bytes.
 *
 * @param bodyBytes 1 or more
 */
export const isBodySize = (bodyBytes: number): boolean => {
  const rest = bodyBytes % LINE_WIRE_BYTES
  return rest === 0 || (rest >= lineBytes(1) && rest % 4 === 2)
}

/**
 * Raw bytes in every frame but the last.
 *
 * That is the block size, unless a full frame would be longer than deployed clients allow. This
 * happens below 2116, where the last, short line weighs too much: 57 raw bytes give 80 bytes, and
 * 1.38 × 57 is 78.66. Then the frame carries as many whole lines as the block holds, which always
 * fits: 62 / 45 is less than 1.38.
 *
 * @param blockBytes as the client asked for it
 * @throws BackupError `ENCODING_BLOCK_SIZE` when `blockBytes` is out of bounds
 */
export const frameRawBytes = (blockBytes: number): number => {
  const fits = uuencodedBytes(checkBlockBytes(blockBytes)) <= DEPLOYED_CLIENT_FACTOR * blockBytes
  return fits ? blockBytes : blockBytes - (blockBytes % LINE_RAW_BYTES)
}
