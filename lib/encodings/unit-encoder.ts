/**
 * Cuts a raw stream into units and has them dressed, many at a time.
 *
 *     chunks   ├────────────┼───┼──────────────────┤
 *     units    ├─────┼─────┼─────┼─────┼─────┼─────┤┄┄ remainder, kept until more comes
 *
 * What a unit is (a uuencode frame, a base64 line) is the business of its `Dressing`. Only a unit
 * cut by a chunk is copied; whole ones are dressed straight from the chunk into one sheet.
 */

import type { EncodedPiece, Encoder } from './codec.ts'

/** One encoding's way with units. */
export interface Dressing {
  /** Raw bytes in a unit; only the last of a stream may have fewer. */
  readonly unitBytes: number
  /** A sheet for exactly so many raw bytes. It is finished before the next one is begun. */
  newSheet(rawBytes: number): Sheet
  /** As `Encoder.takeBack`. */
  takeBack?(wires: readonly Buffer[]): void
}

/** Wire bytes being written, front to back. */
export interface Sheet {
  /** Adds units cut from `raw[start..end)`; the last may be short, and then is the last of the stream. */
  add(raw: Buffer, start: number, end: number): void
  /** The bytes, when all raw bytes are there. */
  finish(): Buffer
}

/**
 * A sheet carries this much and one unit more, so that a chunk of 64 KiB from a pipe and what was left of the one
 * before it make one sheet. Measured with chunks of 64 KiB and 1 MiB: smaller ones are slower, bigger ones are no
 * faster, and from 128 KiB base64 of big chunks loses half its speed.
 */
const SHEET_RAW_BYTES = 65_536

const unitsOfSheet = (unitBytes: number): number =>
  unitBytes > SHEET_RAW_BYTES ? 1 : Math.floor(SHEET_RAW_BYTES / unitBytes) + 1

/** @returns raw bytes of the largest sheet that is ever asked for */
export const mostRawBytesOfSheet = (unitBytes: number): number => unitsOfSheet(unitBytes) * unitBytes

export class UnitEncoder implements Encoder {
  readonly givesViews = false
  readonly #dressing: Dressing
  readonly #remainder: Buffer
  #remainderBytes = 0
  #rawEnd = 0
  #ended = false

  constructor(dressing: Dressing) {
    this.#dressing = dressing
    this.#remainder = Buffer.allocUnsafeSlow(dressing.unitBytes)
  }

  encode(raw: Buffer): EncodedPiece[] {
    if (this.#ended) throw new Error('bug: encoder fed after its end')
    const { unitBytes } = this.#dressing
    const unitsPerSheet = unitsOfSheet(unitBytes)
    const pieces: EncodedPiece[] = []
    let unitsLeft = Math.floor((this.#remainderBytes + raw.length) / unitBytes)
    let at = 0
    while (unitsLeft > 0) {
      const units = Math.min(unitsLeft, unitsPerSheet)
      const sheet = this.#dressing.newSheet(units * unitBytes)
      let end = at + units * unitBytes
      if (this.#remainderBytes > 0) {
        end -= this.#remainderBytes
        at += raw.copy(this.#remainder, this.#remainderBytes, at)
        sheet.add(this.#remainder, 0, unitBytes)
        this.#remainderBytes = 0
      }
      sheet.add(raw, at, end)
      pieces.push(this.#piece(sheet, units * unitBytes))
      at = end
      unitsLeft -= units
    }
    this.#remainderBytes += raw.copy(this.#remainder, this.#remainderBytes, at)
    return pieces
  }

  end(): EncodedPiece[] {
    if (this.#ended) throw new Error('bug: encoder ended twice')
    this.#ended = true
    if (this.#remainderBytes === 0) return []
    const sheet = this.#dressing.newSheet(this.#remainderBytes)
    sheet.add(this.#remainder, 0, this.#remainderBytes)
    return [this.#piece(sheet, this.#remainderBytes)]
  }

  takeBack(wires: readonly Buffer[]): void {
    this.#dressing.takeBack?.(wires)
  }

  #piece(sheet: Sheet, rawBytes: number): EncodedPiece {
    this.#rawEnd += rawBytes
    return { wire: sheet.finish(), rawEnd: this.#rawEnd }
  }
}
