/**
 * Says whether the compressor is at work, and when it has stood still for too long.
 *
 *     bytes in, bytes out, time on a processor     any of them has changed: it is at work
 *
 * A high level takes minutes for a byte, so silence means nothing; but a program that is
 * given input, has a receiver, and uses no processor will not go on. While the receiver
 * has bytes to take, or nothing goes in because the engine gives nothing, it owes nothing.
 *
 * Pure, apart from what the compressor says of itself: a clock comes in.
 */

import type { Filter } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'

export class CompressorWatch {
  readonly #compressor: Pick<Filter, 'name' | 'signOfLife' | 'isOwing'>
  readonly #limitMs: number
  readonly #nowMs: () => number
  #seen = ''
  #aliveMs: number

  constructor(compressor: Pick<Filter, 'name' | 'signOfLife' | 'isOwing'>, limitMs: number, nowMs: () => number) {
    this.#compressor = compressor
    this.#limitMs = limitMs
    this.#nowMs = nowMs
    this.#aliveMs = nowMs()
  }

  /**
   * To be called a few times a second.
   *
   * @param isExcused whoever takes its output has enough to do, or it has ended
   */
  look(isExcused: boolean): { readonly hasMoved: boolean; readonly failure: BackupError | undefined } {
    const now = this.#nowMs()
    const sign = this.#compressor.signOfLife()
    const hasMoved = sign !== this.#seen
    this.#seen = sign
    if (hasMoved || isExcused || !this.#compressor.isOwing) this.#aliveMs = now
    const stillMs = now - this.#aliveMs
    if (stillMs < this.#limitMs) return { hasMoved, failure: undefined }
    const { name } = this.#compressor
    const failure = new BackupError(
      'COMPRESS_FAILED',
      `the compressor ${name} neither took, gave nor computed anything for ${Math.round(stillMs / 1000)} s`,
      { compressor: name, limitMs: this.#limitMs },
      { hint: 'was it stopped? --hang-seconds allows for more' },
    )
    return { hasMoved, failure }
  }
}
