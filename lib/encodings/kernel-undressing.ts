/**
 * Has a decoder work in the kernels' memory: what came is copied in, undressed there, and copied out.
 *
 *     wire ─copy─▶ │ in │ ─▶ whole lines by the kernel, the rest by the decoder itself ─▶ │ out │ ─copy─▶ raw
 *
 * The decoder goes the same way as in plain JavaScript, which is the oracle of its tests; only that somebody else reads
 * the lines that are whole and good. A line that is not good is left to who can say what is wrong with it.
 */

import { IN_AT, type Kernels, OUT_AT } from './kernels.ts'
import type { PiecePool } from './piece-pool.ts'

/**
 * Reads full lines from `wire[start]` on into `raw[rawStart]`, where `lines` of them lie whole.
 *
 * @returns how many were good, from the first on
 */
export type ReadLines = (wire: Buffer, start: number, lines: number, raw: Buffer, rawStart: number) => number

/** Wire bytes from `start` to `end`. */
export interface Part {
  readonly wire: Buffer
  readonly start: number
  readonly end: number
}

/** Undresses a part into `raw[rawStart]`. Returns the raw bytes it gave. */
export type UndressPart = (part: Part, raw: Buffer, rawStart: number, readLines: ReadLines) => number

/** A decoder, as it is seen from here. */
export interface Undresser {
  /** The most raw bytes that come of so many wire bytes and of what is kept of those before. */
  mostRawBytes(wireBytes: number): number
  /** Moves what is kept of a line that is cut in front of `at`. Returns how many bytes that were. */
  moveCut(memory: Buffer, at: number): number
  undressPart: UndressPart
}

/** Undresses all of the wire bytes, in pieces from the pool. */
export type Undress = (wire: Buffer) => Buffer[]

/** Below this the copies cost more than they save. */
const FEWEST_WIRE_BYTES = 256

/** What a socket gives at once. More would not stay in the processor's second cache. */
const MOST_WIRE_BYTES = 65_536

/** @param plain how lines are read in plain JavaScript */
export const undressPlainly =
  (undresser: Undresser, plain: ReadLines, pool: PiecePool): Undress =>
  (wire) => {
    const raw = pool.take(undresser.mostRawBytes(wire.length))
    const rawBytes = undresser.undressPart({ wire, start: 0, end: wire.length }, raw, 0, plain)
    const piece = pool.shorten(raw, rawBytes)
    return rawBytes === 0 ? [] : [piece]
  }

/** @param readKernel reads lines that lie at one address to another one, as `ReadLines` does */
export const undressByKernel = (
  { memory }: Kernels,
  readKernel: Kernels['readBase64Lines'],
  undresser: Undresser,
  plain: ReadLines,
  pool: PiecePool,
): Undress => {
  const plainly = undressPlainly(undresser, plain, pool)
  const readLines: ReadLines = (_, start, lines, __, rawStart) => readKernel(start, lines, rawStart)
  return (wire) => {
    if (wire.length < FEWEST_WIRE_BYTES) return plainly(wire)
    const pieces: Buffer[] = []
    for (let at = 0; at < wire.length; at += MOST_WIRE_BYTES) {
      const end = IN_AT + wire.copy(memory, IN_AT, at, at + MOST_WIRE_BYTES)
      const start = IN_AT - undresser.moveCut(memory, IN_AT)
      const rawBytes = undresser.undressPart({ wire: memory, start, end }, memory, OUT_AT, readLines)
      if (rawBytes === 0) continue
      const piece = pool.take(rawBytes)
      memory.copy(piece, 0, OUT_AT, OUT_AT + rawBytes)
      pieces.push(piece)
    }
    return pieces
  }
}
