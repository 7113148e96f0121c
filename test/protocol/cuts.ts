/**
 * The ways bytes may arrive, and what a parser makes of them, in a form that can be compared.
 */

import { BackupError } from '../../lib/errors/index.ts'
import type { KvBlock } from '../../lib/protocol/index.ts'
import { asMap } from './as-map.ts'

export interface Cut {
  readonly cut: string
  readonly chunks: readonly Buffer[]
}

/** Whole, in two at every byte, and one byte at a time. */
export const everyCut = (wire: Buffer): Cut[] => [
  { cut: 'nowhere', chunks: [wire] },
  ...Array.from({ length: wire.length + 1 }, (_, at) => ({
    cut: `at byte ${at}`,
    chunks: [wire.subarray(0, at), wire.subarray(at)],
  })),
  { cut: 'after every byte', chunks: byteByByte(wire) },
]

export const byteByByte = (wire: Buffer): Buffer[] => Array.from(wire, (_, at) => wire.subarray(at, at + 1))

/** Cuts at the given places, in any order, out of bounds or not. */
export const cutAt = (wire: Buffer, places: readonly number[]): Buffer[] => {
  const sorted = [...new Set(places.map((place) => Math.min(place, wire.length)))].sort((a, b) => a - b)
  return [0, ...sorted].map((from, index) => wire.subarray(from, sorted[index] ?? wire.length))
}

interface Parsed {
  readonly block: KvBlock
  readonly rest: Buffer
}

interface Parser<Result extends Parsed> {
  push(chunk: Buffer): Result | undefined
  end(): void
}

/** What came out: a result with its block as a `Map` and everything behind it as `rest`, a refusal, or neither. */
export type Outcome<Result> =
  | { readonly result: Result }
  | { readonly code: string; readonly line: unknown; readonly message: string }
  | 'nothing'

/** Feeds a parser until it has spoken, then says that nothing more comes. Anything but a `BackupError` gets through. */
export const outcomeOf = <Result extends Parsed>(
  parser: Parser<Result>,
  chunks: readonly Buffer[],
): Outcome<Result> => {
  try {
    for (const [index, chunk] of chunks.entries()) {
      const result = parser.push(chunk)
      if (result === undefined) continue
      parser.end() // quiet after a whole message
      const rest = Buffer.concat([result.rest, ...chunks.slice(index + 1)])
      return { result: { ...result, block: asMap(result.block), rest } }
    }
    parser.end()
    return 'nothing'
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    return { code: error.code, line: error.facts['line'], message: error.message }
  }
}

/** The refusal that a call ends with. A call that succeeds, or fails in another way, is an error here. */
export const refusalOf = (call: () => unknown): BackupError => {
  try {
    call()
  } catch (error) {
    if (error instanceof BackupError) return error
    throw error
  }
  throw new Error('expected a refusal, the call succeeded')
}
