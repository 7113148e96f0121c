/**
 * Has a decoder work in the kernels' memory: what came is copied in, undressed there, and goes on from there.
 *
 *     wire ─copy─▶ │ in │ ─▶ whole lines by the kernel, the rest by the decoder itself ─▶ │ a place │ ─▶ a view of it
 *
 * The decoder goes the same way as in plain JavaScript, which is the oracle of its tests; only that somebody else reads
 * the lines that are whole and good. A line that is not good is left to who can say what is wrong with it.
 */

import { KernelPlaces } from './kernel-places.ts'
import { IN_AT, type Kernels, OwnKernels } from './kernels.ts'
import { PiecePool } from './piece-pool.ts'

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

/** What a decoder works with. */
export interface Undressing {
  /** Undresses all of the wire bytes. */
  undress(wire: Buffer): Buffer[]
  /** As `Decoder.takeBack`. */
  takeBack(raws: readonly Buffer[]): void
}

/** Below this the copies cost more than they save. */
const FEWEST_WIRE_BYTES = 256

/** What a socket gives at once. More would not stay in the processor's second cache. */
const MOST_WIRE_BYTES = 65_536

/** More than a line has: what is kept of one that is cut stands in front of what came. */
const CUT_BYTES = 128

/** @param readLines in plain JavaScript */
export const undressingPlainly = (undresser: Undresser, readLines: ReadLines): Undressing => {
  const pool = new PiecePool()
  return {
    undress: (wire) => {
      const raw = pool.take(undresser.mostRawBytes(wire.length))
      const rawBytes = undresser.undressPart({ wire, start: 0, end: wire.length }, raw, 0, readLines)
      const piece = pool.shorten(raw, rawBytes)
      return rawBytes === 0 ? [] : [piece]
    },
    takeBack: (raws) => pool.takeBack(raws),
  }
}

/**
 * @param readerOf what of kernels reads lines that lie at one address to another one, as `ReadLines` does
 * @param plainly for what is too short
 */
export const undressingByKernel = (
  shared: Kernels,
  readerOf: (kernels: Kernels) => Kernels['readBase64Lines'],
  undresser: Undresser,
  plainly: Undressing,
): Undressing => {
  const mostBytes = undresser.mostRawBytes(CUT_BYTES + MOST_WIRE_BYTES)
  const workplaces = new OwnKernels(shared, (kernels, isShared) => {
    const read = readerOf(kernels)
    const readLines: ReadLines = (_, start, lines, __, rawStart) => read(start, lines, rawStart)
    return { memory: kernels.memory, places: new KernelPlaces(kernels, mostBytes, isShared), readLines }
  })
  return {
    undress: (wire) => {
      if (wire.length < FEWEST_WIRE_BYTES) return plainly.undress(wire)
      const { memory, places, readLines } = workplaces.for(wire.length)
      const pieces: Buffer[] = []
      for (let at = 0; at < wire.length; at += MOST_WIRE_BYTES) {
        const end = IN_AT + wire.copy(memory, IN_AT, at, at + MOST_WIRE_BYTES)
        const start = IN_AT - undresser.moveCut(memory, IN_AT)
        const rawBytes = undresser.undressPart({ wire: memory, start, end }, memory, places.address, readLines)
        if (rawBytes > 0) pieces.push(places.give(rawBytes))
      }
      return pieces
    },
    takeBack: (raws) => {
      workplaces.current.places.takeBack(raws)
      plainly.takeBack(raws)
    },
  }
}
