/**
 * Dresses units by the kernels: a few of them are copied into their memory, dressed there, and copied out.
 *
 *     unit, unit, … ─copy─▶ │ in │ ─▶ │ out │ ─copy─▶ a buffer of the pool       some kilobytes at a time
 *
 * What is copied in, dressed and copied out stays in the processor's first cache that way. The same bytes as the plain
 * dressings give, which are the oracle of its tests; and what is odd is left to them.
 */

import { LINE_RAW_BYTES, LINE_WIRE_BYTES } from './base64-line.ts'
import { IN_AT, type Kernels, OUT_AT } from './kernels.ts'
import type { Dressing, Sheet } from './unit-encoder.ts'
import { framedBytes } from './uuencode-frame.ts'
import { WirePool } from './wire-pool.ts'

/** How an encoding is dressed by the kernels. */
interface KernelWay {
  /** Raw bytes that become whole units, or the last of a stream. */
  wireBytes(rawBytes: number): number
  /** Dresses so many raw bytes, which lie at `IN_AT`, to `OUT_AT`. */
  dress(rawBytes: number): void
}

/** @param plain for the last line of a stream, which is padded */
export const base64KernelDressing = (kernels: Kernels, plain: Dressing): Dressing => {
  const whole = new KernelDressing(kernels, plain.unitBytes, {
    wireBytes: (rawBytes) => (rawBytes / LINE_RAW_BYTES) * LINE_WIRE_BYTES,
    dress: (rawBytes) => kernels.writeBase64Lines(IN_AT, rawBytes / LINE_RAW_BYTES, OUT_AT),
  })
  return {
    unitBytes: plain.unitBytes,
    newSheet: (rawBytes) => (rawBytes % plain.unitBytes === 0 ? whole : plain).newSheet(rawBytes),
    takeBack: (wires) => whole.takeBack(wires),
  }
}

/** @param unitBytes raw bytes in a frame */
export const uuencodeKernelDressing = (kernels: Kernels, unitBytes: number): Dressing =>
  new KernelDressing(kernels, unitBytes, {
    wireBytes: (rawBytes) => framedBytes(rawBytes, unitBytes),
    dress: (rawBytes) => void kernels.writeUuencodeFrames(IN_AT, rawBytes, unitBytes, OUT_AT),
  })

/** Of these, input and output fit into the first cache of every processor of the last twenty years. */
const RAW_BYTES_AT_ONCE = 8 * 1024

class KernelDressing implements Dressing {
  readonly unitBytes: number
  readonly #kernels: Kernels
  readonly #way: KernelWay
  readonly #pool = new WirePool()
  readonly #atOnce: number

  constructor(kernels: Kernels, unitBytes: number, way: KernelWay) {
    this.#kernels = kernels
    this.unitBytes = unitBytes
    this.#way = way
    this.#atOnce = Math.max(Math.floor(RAW_BYTES_AT_ONCE / unitBytes), 1) * unitBytes
  }

  newSheet(rawBytes: number): Sheet {
    const wire = this.#pool.take(this.#way.wireBytes(rawBytes))
    return new KernelSheet(this.#kernels.memory, this.#way, this.#atOnce, wire)
  }

  takeBack(wires: readonly Buffer[]): void {
    this.#pool.takeBack(wires)
  }
}

class KernelSheet implements Sheet {
  readonly #memory: Buffer
  readonly #way: KernelWay
  readonly #atOnce: number
  readonly #wire: Buffer
  #wireEnd = 0

  constructor(memory: Buffer, way: KernelWay, atOnce: number, wire: Buffer) {
    this.#memory = memory
    this.#way = way
    this.#atOnce = atOnce
    this.#wire = wire
  }

  add(raw: Buffer, start: number, end: number): void {
    const memory = this.#memory
    const way = this.#way
    for (let at = start; at < end; at += this.#atOnce) {
      const rawBytes = raw.copy(memory, IN_AT, at, Math.min(at + this.#atOnce, end))
      way.dress(rawBytes)
      this.#wireEnd += memory.copy(this.#wire, this.#wireEnd, OUT_AT, OUT_AT + way.wireBytes(rawBytes))
    }
  }

  finish(): Buffer {
    return this.#wire
  }
}
