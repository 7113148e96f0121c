/**
 * Reads `application/x-base64-stream`: full lines, then at most one that is shorter, strictly.
 *
 *     lines ──▶ … ──▶ a shorter or padded line ──▶ last: nothing may follow
 *
 * Node's own decoder skips what it does not know and takes `-` and `_` as well, so it would make
 * good-looking rubbish of a damaged stream. This one refuses: a character that is not of the
 * alphabet; a line longer than 76; an empty one; a line in the middle that is shorter; padding
 * anywhere but at the very end; bits before the padding that are not zero; a last line without
 * its line feed.
 *
 * Every line is judged when it is whole, so the same stream gives the same bytes or the same error
 * however it was cut. Never keeps more than one line. Rule: PROTOCOL.md, "x-base64-stream".
 */

import type { BackupError } from '../errors/index.ts'
import { LINE_CHARACTERS, LINE_FEED, LINE_RAW_BYTES, LINE_WIRE_BYTES, PADDING, sextetOf, ZERO } from './base64-line.ts'
import type { Decoder } from './codec.ts'
import {
  type Part,
  type ReadLines,
  type Undresser,
  type Undressing,
  undressingByKernel,
  undressingPlainly,
} from './kernel-undressing.ts'
import type { Kernels } from './kernels.ts'
import { readGroups, readingTable } from './sextets.ts'
import { corrupt, showBytes, truncated } from './stream-faults.ts'

const PAIRS = readingTable(sextetOf)

/** What the decoder is waiting for: another line, or (`last`) only the end. `ended` and `broken` are final. */
type State = 'lines' | 'last' | 'ended' | 'broken'

export class Base64Decoder implements Decoder {
  #state: State = 'lines'
  readonly #cut = Buffer.allocUnsafeSlow(LINE_WIRE_BYTES) // a line that is cut, short or wrong, copied
  #cutBytes = 0
  #offset = 0 // wire bytes before the line that comes next
  #line = 1 // counted from 1; every error names it
  readonly #undressing: Undressing

  constructor(kernels?: Kernels) {
    const undresser: Undresser = {
      mostRawBytes: (wireBytes) => Math.ceil((this.#cutBytes + wireBytes) / 4) * 3,
      moveCut: (memory, at) => this.#moveCut(memory, at),
      undressPart: (...parameters) => this.#undressPart(...parameters),
    }
    const plainly = undressingPlainly(undresser, readFullLines)
    this.#undressing =
      kernels === undefined ? plainly : undressingByKernel(kernels, (own) => own.readBase64Lines, undresser, plainly)
  }

  decode(wire: Buffer): Buffer[] {
    this.#mustBeOpen()
    return this.#undressing.undress(wire)
  }

  #moveCut(memory: Buffer, at: number): number {
    const bytes = this.#cut.copy(memory, at - this.#cutBytes, 0, this.#cutBytes)
    this.#cutBytes = 0
    return bytes
  }

  #undressPart({ wire, start, end }: Part, raw: Buffer, rawStart: number, readLines: ReadLines): number {
    let to = rawStart
    let at = start
    while (at < end) {
      if (this.#state === 'last') {
        throw this.#corrupt(
          'the end of the stream after a line that is not full',
          showBytes(wire.subarray(at, at + 1)),
          0,
        )
      }
      if (this.#cutBytes === 0) {
        const before = this.#offset
        to += this.#takeFullLines({ wire, start: at, end }, raw, to, readLines)
        at += this.#offset - before
      }
      let isWhole = false
      while (!isWhole && at < end) {
        const byte = wire[at] as number
        this.#cut[this.#cutBytes] = byte
        this.#cutBytes += 1
        at += 1
        isWhole = byte === LINE_FEED || this.#cutBytes === LINE_WIRE_BYTES
      }
      if (isWhole) to += this.#takeCutLine(raw, to)
    }
    return to - rawStart
  }

  end(): Buffer[] {
    this.#mustBeOpen()
    if (this.#cutBytes === 0) {
      this.#state = 'ended'
      return []
    }
    this.#state = 'broken'
    const found = `a line of ${this.#cutBytes} bytes without one`
    const place = { offset: this.#offset + this.#cutBytes, line: this.#line }
    throw truncated('base64', 'a line feed', found, place)
  }

  takeBack(raws: readonly Buffer[]): void {
    this.#undressing.takeBack(raws)
  }

  /** The fast way: as many good lines of 57 raw bytes as lie here whole. Returns the raw bytes they gave. */
  #takeFullLines({ wire, start, end }: Part, raw: Buffer, rawStart: number, readLines: ReadLines): number {
    const lines = Math.floor((end - start) / LINE_WIRE_BYTES)
    const taken = readLines(wire, start, lines, raw, rawStart)
    this.#offset += taken * LINE_WIRE_BYTES
    this.#line += taken
    return taken * LINE_RAW_BYTES
  }

  /** Takes the line in `#cut`, which ends with its line feed or is too long. Returns the raw bytes it gave. */
  #takeCutLine(raw: Buffer, rawStart: number): number {
    const line = this.#cut.subarray(0, this.#cutBytes)
    if (line.length === LINE_WIRE_BYTES && readFullLines(line, 0, 1, raw, rawStart) === 1) {
      this.#lineIsTaken()
      return LINE_RAW_BYTES
    }
    const { characters, padding } = this.#measure(line)
    const end = characters + padding
    line.fill(ZERO, characters, end)
    readGroups(PAIRS, line, 0, end, raw, rawStart)
    const count = (end / 4) * 3 - padding
    for (let filling = count; filling % 3 !== 0; filling += 1) {
      if (raw[rawStart + filling] === 0) continue
      const group = `${line.toString('latin1', end - 4, characters)}${'='.repeat(padding)}`
      throw this.#corrupt('zero bits before the padding', JSON.stringify(group), end - 4)
    }
    if (end < LINE_CHARACTERS || padding > 0) this.#state = 'last'
    this.#lineIsTaken()
    return count
  }

  #lineIsTaken(): void {
    this.#offset += this.#cutBytes
    this.#line += 1
    this.#cutBytes = 0
  }

  /** Finds the characters and the padding of a line, or the first byte that may not stand where it stands. */
  #measure(line: Buffer): { characters: number; padding: number } {
    const expect = (at: number, expected: string): never => {
      throw this.#corrupt(expected, showBytes(line.subarray(at, at + 1)), at)
    }
    let characters = 0
    while (characters < LINE_CHARACTERS && sextetOf(line[characters] as number) !== undefined) characters += 1
    const inGroup = characters % 4
    const padding = line[characters] === PADDING && inGroup >= 2 ? 4 - inGroup : 0
    for (let at = characters; at < characters + padding; at += 1) {
      if (line[at] !== PADDING) expect(at, '"="')
    }
    const end = characters + padding
    if (padding > 0 || end === LINE_CHARACTERS) {
      if (line[end] !== LINE_FEED) expect(end, 'a line feed')
    } else if (inGroup !== 0 || end === 0 || line[end] !== LINE_FEED) {
      expect(end, inGroup === 0 && end > 0 ? 'a base64 character or a line feed' : 'a base64 character')
    }
    return { characters, padding }
  }

  /** Breaks the decoder. `distance`: from the start of the line we are in. */
  #corrupt(expected: string, found: string, distance: number): BackupError {
    this.#state = 'broken'
    return corrupt('base64', expected, found, { offset: this.#offset + distance, line: this.#line })
  }

  #mustBeOpen(): void {
    if (this.#state === 'ended' || this.#state === 'broken') throw new Error(`bug: decoder fed while ${this.#state}`)
  }
}

/** What the kernel does, in plain JavaScript. */
const readFullLines: ReadLines = (wire, start, lines, raw, rawStart) => {
  let taken = 0
  while (taken < lines) {
    const at = start + taken * LINE_WIRE_BYTES
    const good =
      wire[at + LINE_CHARACTERS] === LINE_FEED &&
      readGroups(PAIRS, wire, at, at + LINE_CHARACTERS, raw, rawStart + taken * LINE_RAW_BYTES)
    if (!good) break // a short line, or one that the slow way finds the words for
    taken += 1
  }
  return taken
}
