/**
 * Dresses units by the kernels: what is raw is gathered in their memory, dressed there at once, and copied out.
 *
 *     unit, unit, … ─copy─▶ │ in │ ─▶ │ out │ ─copy─▶ a buffer of the pool
 *
 * The same bytes as the plain dressings give, which are the oracle of its tests; and what is odd is left to them.
 */

import { LINE_RAW_BYTES, LINE_WIRE_BYTES } from './base64-line.ts'
import { IN_AT, type Kernels, OUT_AT } from './kernels.ts'
import { PiecePool } from './piece-pool.ts'
import type { Dressing, Sheet } from './unit-encoder.ts'

/** Dresses so many raw bytes, which lie at `IN_AT`, to `OUT_AT`. Returns how many bytes they have become. */
type Dress = (rawBytes: number) => number

/** @param plain for the last line of a stream, which is padded */
export const base64KernelDressing = (kernels: Kernels, plain: Dressing): Dressing => {
  const dress: Dress = (rawBytes) => {
    const lines = rawBytes / LINE_RAW_BYTES
    kernels.writeBase64Lines(IN_AT, lines, OUT_AT)
    return lines * LINE_WIRE_BYTES
  }
  const whole = new KernelDressing(kernels, plain.unitBytes, dress)
  return {
    unitBytes: plain.unitBytes,
    newSheet: (rawBytes) => (rawBytes % plain.unitBytes === 0 ? whole : plain).newSheet(rawBytes),
    takeBack: (wires) => whole.takeBack(wires),
  }
}

/** @param unitBytes raw bytes in a frame */
export const uuencodeKernelDressing = (kernels: Kernels, unitBytes: number): Dressing =>
  new KernelDressing(kernels, unitBytes, (rawBytes) => kernels.writeUuencodeFrames(IN_AT, rawBytes, unitBytes, OUT_AT))

class KernelDressing implements Dressing {
  readonly unitBytes: number
  readonly #kernels: Kernels
  readonly #dress: Dress
  readonly #pool = new PiecePool()

  constructor(kernels: Kernels, unitBytes: number, dress: Dress) {
    this.#kernels = kernels
    this.unitBytes = unitBytes
    this.#dress = dress
  }

  newSheet(): Sheet {
    return new KernelSheet(this.#kernels.memory, this.#dress, this.#pool)
  }

  takeBack(wires: readonly Buffer[]): void {
    this.#pool.takeBack(wires)
  }
}

/** To be filled and finished before another one is begun: the memory is everybody's. */
class KernelSheet implements Sheet {
  readonly #memory: Buffer
  readonly #dress: Dress
  readonly #pool: PiecePool
  #rawBytes = 0

  constructor(memory: Buffer, dress: Dress, pool: PiecePool) {
    this.#memory = memory
    this.#dress = dress
    this.#pool = pool
  }

  add(raw: Buffer, start: number, end: number): void {
    this.#rawBytes += raw.copy(this.#memory, IN_AT + this.#rawBytes, start, end)
  }

  finish(): Buffer {
    const wireBytes = this.#dress(this.#rawBytes)
    const wire = this.#pool.take(wireBytes)
    this.#memory.copy(wire, 0, OUT_AT, OUT_AT + wireBytes)
    return wire
  }
}
