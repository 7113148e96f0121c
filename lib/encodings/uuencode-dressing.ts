/**
 * Writes uuencode frames: what Perl's `pack('u', block)` gives, with its length in front.
 *
 * Two characters are stored at a time, which needs them on even bytes. A line is 62 bytes and
 * its characters begin at its second, so one odd start puts every pair of the sheet on even bytes,
 * "line feed, M" between two full lines included:
 *
 *     odd ┐
 *         00 00 00 50 M a  b c  d … z \n M a  b …
 *                       └pair┘      └pair┘
 */

import type { Dressing, Sheet } from './unit-encoder.ts'
import {
  characterOf,
  frameRawBytes,
  LINE_FEED,
  LINE_RAW_BYTES,
  lineBytes,
  PREFIX_BYTES,
  uuencodedBytes,
} from './uuencode-frame.ts'
import { writingTable } from './sextets.ts'

const PAIRS = writingTable(characterOf)
const FULL_LINE = characterOf(LINE_RAW_BYTES)
/** The end of one full line and the start of the next, stored at once. */
const LINE_BREAK = new Uint16Array(Uint8Array.of(LINE_FEED, FULL_LINE).buffer)[0] as number

/** @param blockBytes as the client asked for it, checked */
export const uuencodeDressing = (blockBytes: number): Dressing => {
  const unitBytes = frameRawBytes(blockBytes)
  return { unitBytes, newSheet: (rawBytes) => new UuencodeSheet(unitBytes, rawBytes) }
}

class UuencodeSheet implements Sheet {
  readonly #wire: Buffer
  readonly #unitBytes: number
  readonly #store: Buffer // one byte before the wire, for the odd start; one behind, for the M of a line that never comes
  readonly #pairs: Uint16Array // the same memory
  #at = 1 // always odd between frames: prefix and body are even

  constructor(unitBytes: number, rawBytes: number) {
    const restBytes = rawBytes % unitBytes
    const frames = (rawBytes - restBytes) / unitBytes
    const fullBytes = frames === 0 ? 0 : frames * (PREFIX_BYTES + uuencodedBytes(unitBytes))
    const wireBytes = fullBytes + (restBytes === 0 ? 0 : PREFIX_BYTES + uuencodedBytes(restBytes))
    this.#unitBytes = unitBytes
    this.#store = Buffer.allocUnsafeSlow(wireBytes + 2)
    this.#pairs = new Uint16Array(this.#store.buffer, this.#store.byteOffset, (wireBytes + 2) / 2)
    this.#wire = this.#store.subarray(1, 1 + wireBytes)
  }

  add(raw: Buffer, start: number, end: number): void {
    for (let at = start; at < end; at += this.#unitBytes) this.#addFrame(raw, at, Math.min(at + this.#unitBytes, end))
  }

  finish(): Buffer {
    return this.#wire
  }

  #addFrame(raw: Buffer, start: number, end: number): void {
    const store = this.#store
    const pairs = this.#pairs
    store.writeUInt32BE(uuencodedBytes(end - start), this.#at)
    store[this.#at + PREFIX_BYTES] = FULL_LINE
    let pair = (this.#at + PREFIX_BYTES + 1) / 2
    let at = start
    while (end - at >= LINE_RAW_BYTES) {
      for (const lineEnd = at + LINE_RAW_BYTES; at < lineEnd; at += 3) {
        const middle = raw[at + 1] as number
        pairs[pair] = PAIRS[((raw[at] as number) << 4) | (middle >> 4)] as number
        pairs[pair + 1] = PAIRS[((middle & 15) << 8) | (raw[at + 2] as number)] as number
        pair += 2
      }
      pairs[pair] = LINE_BREAK
      pair += 1
    }
    this.#at = 2 * pair - 1 // the M of the next line, which is too much if none follows, wrong if a short one does
    if (at < end) this.#addShortLine(raw, at, end)
  }

  #addShortLine(raw: Buffer, start: number, end: number): void {
    const store = this.#store
    store[this.#at] = characterOf(end - start)
    let to = this.#at + 1
    for (let at = start; at < end; at += 3) {
      const first = raw[at] as number
      const second = at + 1 < end ? (raw[at + 1] as number) : 0
      const third = at + 2 < end ? (raw[at + 2] as number) : 0
      store[to] = characterOf(first >> 2)
      store[to + 1] = characterOf(((first & 3) << 4) | (second >> 4))
      store[to + 2] = characterOf(((second & 15) << 2) | (third >> 6))
      store[to + 3] = characterOf(third & 63)
      to += 4
    }
    store[to] = LINE_FEED
    this.#at += lineBytes(end - start)
  }
}
