/**
 * Places in the memory of kernels where what they give stays until it has left: it is copied nowhere.
 *
 *     │ in │ spare │ place │ place ▒▒▒▒ │ place ▒▒▒ │ … │      ▒ lent: views of it are on their way
 *              └▶ when all are lent: copied out
 *
 * The place that came back last is written next, because it is in the processor's cache. Nobody has to give anything
 * back: what does not come keeps its place for as long as the stream lasts. Only where the memory is one stream's alone
 * is a place lent: see `OwnKernels`.
 */

import { type Kernels, OUT_AT } from './kernels.ts'

/** Kernels read and write whole vectors. */
const ROOM_BEHIND_BYTES = 16

/** A place begins where its page does, as far as `OUT_AT` does: see there. */
const PAGE_BYTES = 4096

export class KernelPlaces {
  readonly #memory: Buffer
  readonly #placeBytes: number
  /** Addresses of those that are free. */
  readonly #free: number[] = []
  /** Of each place, how much of it is out: a part of that alone must not come back, because somebody may have the rest. */
  readonly #outBytes: number[] = []

  /**
   * @param mostBytes that are ever written to one place
   * @param isShared others use the memory too: nothing in it is lent
   */
  constructor({ memory }: Kernels, mostBytes: number, isShared: boolean) {
    this.#memory = memory
    this.#placeBytes = Math.ceil((mostBytes + ROOM_BEHIND_BYTES) / PAGE_BYTES) * PAGE_BYTES
    if (isShared) return
    for (let at = OUT_AT + this.#placeBytes; at + this.#placeBytes <= memory.length; at += this.#placeBytes) {
      this.#free.unshift(at)
    }
  }

  /** The address of a place to be written now; `give` says what was written there, before another one is asked for. */
  get address(): number {
    return this.#free.at(-1) ?? OUT_AT
  }

  /** @returns so many bytes from `address` on: a view, or a copy where no place was free */
  give(bytes: number): Buffer {
    const at = this.#free.pop()
    if (at === undefined) return Buffer.from(this.#memory.subarray(OUT_AT, OUT_AT + bytes))
    this.#outBytes[this.#indexOf(at)] = bytes
    return this.#memory.subarray(at, at + bytes)
  }

  /** Takes back what it has lent, and whole; everything else is left alone. */
  takeBack(views: readonly Buffer[]): void {
    for (const { buffer, byteOffset, length } of views) {
      if (buffer !== this.#memory.buffer) continue
      const index = this.#indexOf(byteOffset)
      if (this.#outBytes[index] !== length) continue // of no place, too, if it does not begin where one does
      this.#outBytes[index] = NONE_OUT
      this.#free.push(byteOffset)
    }
  }

  #indexOf(address: number): number {
    return (address - OUT_AT) / this.#placeBytes
  }
}

/** Of no view's length: what has come back does not come back again. */
const NONE_OUT = -1
