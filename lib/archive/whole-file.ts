/**
 * Recognises at a glance a file that stands whole in a stretch of an xbstream, as nearly all small ones do.
 *
 *     XBSTCK01 · flags · P · path length · path · payload length · 0 · CRC32 · payload
 *     XBSTCK01 · flags · E · path length · path
 *
 * A glance and no more: whatever is not exactly so (other chunks between, a name that is not a plain one, a bit that is
 * wrong) is left to `XbstreamReader`, which reads it step by step and says what is wrong with it. The checksum, and that
 * the file has not come before, are for the reader too.
 *
 * Pure. Format: PROTOCOL.md, "xbstream".
 */

import { MAX_USUAL_LENGTH, USUAL_BYTES, UsualByte } from './safe-path.ts'
import {
  EOF,
  HEAD_BYTES,
  LENGTHS_BYTES,
  MAGIC_FIRST,
  MAGIC_SECOND,
  PATH_LENGTH_AT,
  PAYLOAD,
  TYPE_AT,
} from './xbstream-chunk.ts'

const DOT = 0x2e
const SLASH = 0x2f

/** Shorter stretches hold no file with a byte in it. */
export const LEAST_FILE_BYTES = 2 * (HEAD_BYTES + 1) + LENGTHS_BYTES + 1

export class WholeFile {
  /** The name as it may be used: where it stands, without the `./` that means nothing. */
  nameAt = 0
  nameEnd = 0
  payloadAt = 0
  payloadEnd = 0
  crc = 0
  /** Where the next chunk begins. */
  endAt = 0

  /**
   * @param view of the same bytes as `chunk`
   * @returns whether a whole file begins at `at`; the fields say where its parts are then, and are of no use else
   */
  isAt(chunk: Buffer, view: DataView, at: number): boolean {
    const pathBytes = headAt(view, at, PAYLOAD)
    if (pathBytes === 0) return false
    const pathAt = at + HEAD_BYTES
    const pathEnd = pathAt + pathBytes
    // The bytes that follow are looked at only as far as the chunk goes.
    if (pathEnd + LENGTHS_BYTES > view.byteLength) return false
    const payloadBytes = view.getUint32(pathEnd, true)
    const endHeadAt = pathEnd + LENGTHS_BYTES + payloadBytes
    const endPathAt = endHeadAt + HEAD_BYTES
    if (payloadBytes === 0 || view.getUint32(pathEnd + 4, true) !== 0) return false
    if (view.getUint32(pathEnd + 8, true) !== 0 || view.getUint32(pathEnd + 12, true) !== 0) return false
    if (endPathAt + pathBytes > view.byteLength || headAt(view, endHeadAt, EOF) !== pathBytes) return false

    const dotted = chunk[pathAt] === DOT && chunk[pathAt + 1] === SLASH ? 2 : 0
    let before: number = UsualByte.slash
    for (let index = 0; index < pathBytes; index += 1) {
      const byte = chunk[pathAt + index] as number
      if (byte !== chunk[endPathAt + index]) return false
      if (index < dotted) continue
      const usual = USUAL_BYTES[byte] as number
      if (usual === UsualByte.none || (before === UsualByte.slash && usual !== UsualByte.first)) return false
      before = usual
    }
    if (before === UsualByte.slash) return false

    this.nameAt = pathAt + dotted
    this.nameEnd = pathEnd
    this.crc = view.getUint32(pathEnd + 16, true)
    this.payloadAt = pathEnd + LENGTHS_BYTES
    this.payloadEnd = endHeadAt
    this.endAt = endPathAt + pathBytes
    return true
  }
}

/** @returns the length of the path of a chunk of that type; 0 when none begins here, or its name is not a usual one */
const headAt = (view: DataView, at: number, type: number): number => {
  if (at + HEAD_BYTES > view.byteLength) return 0
  if (view.getUint32(at, true) !== MAGIC_FIRST || view.getUint32(at + 4, true) !== MAGIC_SECOND) return 0
  if (view.getUint8(at + TYPE_AT) !== type) return 0
  const pathBytes = view.getUint32(at + PATH_LENGTH_AT, true)
  return pathBytes <= MAX_USUAL_LENGTH ? pathBytes : 0
}
