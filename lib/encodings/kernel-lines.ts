/**
 * Undresses whole lines by the kernels, for as long as they are good.
 *
 *     wire ─copy─▶ │ in │ ─▶ │ out │ ─copy─▶ raw       a few hundred lines at a time
 *
 * A line that is not good is left to who can say what is wrong with it.
 */

import { IN_AT, type Kernels, OUT_AT } from './kernels.ts'

/**
 * Reads full lines from `wire[start]` on into `raw[rawStart]`, where `lines` of them lie whole.
 *
 * @returns how many were good, from the first on
 */
export type ReadLines = (wire: Buffer, start: number, lines: number, raw: Buffer, rawStart: number) => number

/** The sizes of a full line. */
export interface LineShape {
  readonly wireBytes: number
  readonly rawBytes: number
}

/** Below this the copies cost more than they save. */
const FEWEST_LINES = 4

/** What is copied in, read and copied out stays in the processor's first cache. */
const MOST_WIRE_BYTES = 12 * 1024

/** @param plain for few lines */
export const kernelLines = (
  { memory }: Kernels,
  { wireBytes, rawBytes }: LineShape,
  readKernel: Kernels['readBase64Lines'],
  plain: ReadLines,
): ReadLines => {
  const atOnce = Math.floor(MOST_WIRE_BYTES / wireBytes)
  return (wire, start, lines, raw, rawStart) => {
    if (lines < FEWEST_LINES) return plain(wire, start, lines, raw, rawStart)
    let taken = 0
    while (taken < lines) {
      const some = Math.min(lines - taken, atOnce)
      const from = start + taken * wireBytes
      wire.copy(memory, IN_AT, from, from + some * wireBytes)
      const good = readKernel(IN_AT, some, OUT_AT)
      memory.copy(raw, rawStart + taken * rawBytes, OUT_AT, OUT_AT + good * rawBytes)
      taken += good
      if (good < some) break
    }
    return taken
  }
}
