/**
 * Dresses units by the kernels: what is raw is gathered in their memory, dressed there at once, and leaves from there.
 *
 *     unit, unit, … ─copy─▶ │ in │ ─▶ │ a place │ ─▶ a view of it
 *
 * The same bytes as the plain dressings give, which are the oracle of its tests; and what is odd is left to them.
 */

import { LINE_RAW_BYTES, LINE_WIRE_BYTES } from './base64-line.ts'
import { KernelPlaces } from './kernel-places.ts'
import { IN_AT, type Kernels, OwnKernels } from './kernels.ts'
import { type Dressing, mostRawBytesOfSheet, type Sheet } from './unit-encoder.ts'
import { PREFIX_BYTES, uuencodedBytes } from './uuencode-frame.ts'

/** Dresses so many raw bytes, which lie at `IN_AT`, to an address. Returns how many bytes they have become. */
type Dress = (kernels: Kernels, rawBytes: number, wire: number) => number

/** @param plain for the last line of a stream, which is padded */
export const base64KernelDressing = (shared: Kernels, plain: Dressing): Dressing => {
  const dress: Dress = (kernels, rawBytes, wire) => {
    const lines = rawBytes / LINE_RAW_BYTES
    kernels.writeBase64Lines(IN_AT, lines, wire)
    return lines * LINE_WIRE_BYTES
  }
  const { unitBytes } = plain
  const mostBytes = (mostRawBytesOfSheet(unitBytes) / LINE_RAW_BYTES) * LINE_WIRE_BYTES
  const whole = new KernelDressing(shared, unitBytes, mostBytes, dress)
  return {
    unitBytes,
    newSheet: (rawBytes) => (rawBytes % unitBytes === 0 ? whole : plain).newSheet(rawBytes),
    takeBack: (wires) => whole.takeBack(wires),
  }
}

/** @param unitBytes raw bytes in a frame */
export const uuencodeKernelDressing = (shared: Kernels, unitBytes: number): Dressing => {
  const frames = mostRawBytesOfSheet(unitBytes) / unitBytes
  const mostBytes = frames * (PREFIX_BYTES + uuencodedBytes(unitBytes))
  const dress: Dress = (kernels, rawBytes, wire) => kernels.writeUuencodeFrames(IN_AT, rawBytes, unitBytes, wire)
  return new KernelDressing(shared, unitBytes, mostBytes, dress)
}

interface Workplace {
  readonly kernels: Kernels
  readonly places: KernelPlaces
}

class KernelDressing implements Dressing {
  readonly unitBytes: number
  readonly #dress: Dress
  readonly #workplaces: OwnKernels<Workplace>

  /** @param mostBytes of the largest sheet when it is dressed */
  constructor(shared: Kernels, unitBytes: number, mostBytes: number, dress: Dress) {
    this.unitBytes = unitBytes
    this.#dress = dress
    this.#workplaces = new OwnKernels(shared, (kernels, isShared) => ({
      kernels,
      places: new KernelPlaces(kernels, mostBytes, isShared),
    }))
  }

  newSheet(rawBytes: number): Sheet {
    return new KernelSheet(this.#workplaces.for(rawBytes), this.#dress)
  }

  takeBack(wires: readonly Buffer[]): void {
    this.#workplaces.current.places.takeBack(wires)
  }
}

/** To be filled and finished before another one is begun: they are gathered in the same memory. */
class KernelSheet implements Sheet {
  readonly #workplace: Workplace
  readonly #dress: Dress
  #rawBytes = 0

  constructor(workplace: Workplace, dress: Dress) {
    this.#workplace = workplace
    this.#dress = dress
  }

  add(raw: Buffer, start: number, end: number): void {
    this.#rawBytes += raw.copy(this.#workplace.kernels.memory, IN_AT + this.#rawBytes, start, end)
  }

  finish(): Buffer {
    const { kernels, places } = this.#workplace
    return places.give(this.#dress(kernels, this.#rawBytes, places.address))
  }
}
