/**
 * What is fuzzed: one reader of foreign bytes, and how it is fed.
 *
 *     chunks ─▶ feed ─┬▶ returns a word: what came of it
 *                     ├▶ throws a BackupError: refused, with a code of the catalogue
 *                     └▶ throws anything else: a finding
 *
 * While it is fed it says in the trace what it has understood. Where the input was cut must
 * never change the trace, nor the word, nor the refusal.
 */

import { crc32 } from 'node:zlib'

import { PairTable } from '../../lib/protocol/pair-table.ts'
import type { SeededRandom } from '../faults/seeded-random.ts'

export interface Target {
  /** For `--only`, and the directory below fixtures/fuzz. */
  readonly name: string
  /** Whose bytes: what clients send to the agent, what agents send to the client, or what lies on a host's disk. */
  readonly side: 'server' | 'client' | 'host'
  /** What reads them, in a sentence. */
  readonly does: string
  /** How many inputs a full run makes of it. */
  readonly inputs: number
  /** How many the share in `npm test`; one that writes files gets fewer. */
  readonly quickInputs: number
  readonly maxInputBytes: number
  /** Words of the format, right ones and wrong ones. */
  readonly dictionary: readonly (string | Buffer)[]
  /** Whether it takes pieces. What wants all of its input at once is never cut. */
  readonly isPiecewise: boolean
  /** Where else seeds are, beside fixtures/fuzz. */
  readonly seeds?: () => readonly Buffer[]
  /** A new input, put together from parts of the format. */
  readonly compose?: (random: SeededRandom) => Buffer
  /** Makes lengths, counts and checksums right again, so that a changed input gets further in. */
  readonly mend?: (bytes: Buffer, random: SeededRandom) => Buffer
  /** Called before the first and after the last input of a campaign. */
  readonly open?: () => Promise<void>
  readonly close?: () => Promise<void>
  /** @param chunks each of them is overwritten when the next is asked for: it is only lent */
  feed(chunks: Iterable<Buffer>, trace: Trace): string | Promise<string>
}

/** What a target has understood, in a form that can be compared. */
export class Trace {
  #text = ''
  #crc = 0
  #bytes = 0

  say(word: string): void {
    this.#settle()
    this.#text += `${word}\n`
  }

  /** Bytes that came in pieces count as one piece. */
  take(bytes: Uint8Array): void {
    this.#crc = crc32(bytes, this.#crc)
    this.#bytes += bytes.length
  }

  get text(): string {
    this.#settle()
    return this.#text
  }

  #settle(): void {
    if (this.#bytes === 0) return
    this.#text += `${this.#bytes} bytes ${this.#crc}\n`
    this.#crc = 0
    this.#bytes = 0
  }
}

/** Hands out a copy of each piece, and spoils it when the next one is asked for, each in its own way. */
export function* lend(pieces: readonly Buffer[]): Generator<Buffer, void, undefined> {
  for (const [index, piece] of pieces.entries()) {
    const lent = Buffer.from(piece)
    yield lent
    lent.fill(0xa5 ^ (index & 0xff))
  }
}

/** All of the input, for targets that take no pieces. */
export const whole = (chunks: Iterable<Buffer>): Buffer =>
  Buffer.concat(Array.from(chunks, (chunk) => Buffer.from(chunk)))

/** Values as the trace says them. */
export const shown = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    part instanceof Map || part instanceof PairTable ? [...part] : typeof part === 'bigint' ? `${part}n` : part,
  ) ?? 'undefined'
