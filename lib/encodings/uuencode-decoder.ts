/**
 * Reads `application/x-uuencode-stream`: frames of lines, strictly.
 *
 *     length ──▶ line ──▶ line … last line ──▶ length ──▶ …
 *
 * It reads what Perl's `unpack('u')` reads of it, and refuses what that would guess at: a frame
 * that is empty, too long or of a size no block gives; a line that is not full and not its frame's
 * last; a character that is not of the alphabet; filling that is not zero; anything but a line feed
 * after a line. The one leniency: a zero may be a space instead of a grave accent.
 *
 * Every line is judged when it is whole, so the same stream gives the same bytes or the same error
 * however it was cut. Never keeps more than one line. Rule: PROTOCOL.md, "x-uuencode-stream".
 */

import type { BackupError } from '../errors/index.ts'
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
import {
  characterOf,
  isBodySize,
  LINE_FEED,
  LINE_RAW_BYTES,
  LINE_WIRE_BYTES,
  lineBytes,
  PREFIX_BYTES,
  sextetOf,
  uuencodedBytes,
} from './uuencode-frame.ts'

const PAIRS = readingTable(sextetOf)
const FULL_LINE = characterOf(LINE_RAW_BYTES)

/** What the decoder is waiting for. `ended` and `broken` are final. */
type State = 'length' | 'line' | 'ended' | 'broken'

export class UuencodeDecoder implements Decoder {
  readonly #maxBodyBytes: number
  #state: State = 'length'
  readonly #cut = Buffer.allocUnsafeSlow(LINE_WIRE_BYTES) // a length or a line that a chunk cut, copied
  #cutBytes = 0
  #offset = 0 // wire bytes before the length or line that comes next
  #frame = 0 // the frame we are in, counted from 1; every error names it
  #bodyBytes = 0
  #bodyLeft = 0
  readonly #undressing: Undressing

  /** @param blockBytes a longer frame than this many raw bytes need is refused */
  constructor(blockBytes: number, kernels?: Kernels) {
    this.#maxBodyBytes = uuencodedBytes(blockBytes)
    const undresser: Undresser = {
      // No line carries more than 45 raw bytes in 62, and short ones carry less: this is always enough.
      mostRawBytes: (wireBytes) => Math.floor(((this.#cutBytes + wireBytes) * LINE_RAW_BYTES) / LINE_WIRE_BYTES),
      moveCut: (memory, at) => this.#moveCut(memory, at),
      undressPart: (...parameters) => this.#undressPart(...parameters),
    }
    const plainly = undressingPlainly(undresser, readFullLines)
    this.#undressing =
      kernels === undefined ? plainly : undressingByKernel(kernels, (own) => own.readUuencodeLines, undresser, plainly)
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
    if (this.#cutBytes > 0) {
      const needed = this.#neededBytes()
      const taken = wire.copy(this.#cut, this.#cutBytes, at, Math.min(end, at + needed - this.#cutBytes))
      this.#cutBytes += taken
      if (this.#cutBytes < needed) return 0
      at += taken
      this.#cutBytes = 0
      to += this.#take(this.#cut, 0, raw, to)
    }
    for (;;) {
      const before = this.#offset
      to += this.#takeFullLines({ wire, start: at, end }, raw, to, readLines)
      at += this.#offset - before
      const needed = this.#neededBytes()
      if (end - at < needed) break
      to += this.#take(wire, at, raw, to)
      at += needed
    }
    this.#cutBytes = wire.copy(this.#cut, 0, at, end)
    return to - rawStart
  }

  end(): Buffer[] {
    this.#mustBeOpen()
    if (this.#state === 'length' && this.#cutBytes === 0) {
      this.#state = 'ended'
      return []
    }
    const inLength = this.#state === 'length'
    this.#state = 'broken'
    const offset = this.#offset + this.#cutBytes
    const place = { offset, frame: inLength ? this.#frame + 1 : this.#frame }
    if (inLength) throw truncated('uuencode', `the ${PREFIX_BYTES} bytes of a frame length`, `${this.#cutBytes}`, place)
    const arrived = this.#bodyBytes - this.#bodyLeft + this.#cutBytes
    throw truncated('uuencode', `a frame of ${this.#bodyBytes} bytes`, `${arrived}`, place)
  }

  takeBack(raws: readonly Buffer[]): void {
    this.#undressing.takeBack(raws)
  }

  /** Bytes of the length or line that comes next. */
  #neededBytes(): number {
    return this.#state === 'length' ? PREFIX_BYTES : Math.min(this.#bodyLeft, LINE_WIRE_BYTES)
  }

  /** Takes the one length or line at `at`. Returns the raw bytes it gave. */
  #take(wire: Buffer, at: number, raw: Buffer, rawStart: number): number {
    if (this.#state === 'line') return this.#takeLine(wire, at, raw, rawStart)
    this.#takeLength(wire, at)
    return 0
  }

  #takeLength(wire: Buffer, at: number): void {
    const bodyBytes = wire.readUInt32BE(at)
    this.#frame += 1
    const refuse = (expected: string): never => {
      throw this.#corrupt(expected, `${bodyBytes} (${showBytes(wire.subarray(at, at + PREFIX_BYTES))})`, 0)
    }
    if (bodyBytes === 0) refuse('the length of a frame, which is never 0')
    if (bodyBytes > this.#maxBodyBytes) refuse(`a frame of at most ${this.#maxBodyBytes} bytes`)
    if (!isBodySize(bodyBytes)) refuse('a frame length that whole lines can have')
    this.#offset += PREFIX_BYTES
    this.#bodyBytes = bodyBytes
    this.#bodyLeft = bodyBytes
    this.#state = 'line'
  }

  /** The fast way: as many good lines of 45 raw bytes as lie here whole, all but the frame's last. */
  #takeFullLines({ wire, start, end }: Part, raw: Buffer, rawStart: number, readLines: ReadLines): number {
    if (this.#state !== 'line') return 0
    const lines = Math.min(
      Math.floor((this.#bodyLeft - 1) / LINE_WIRE_BYTES),
      Math.floor((end - start) / LINE_WIRE_BYTES),
    )
    const taken = readLines(wire, start, lines, raw, rawStart)
    this.#offset += taken * LINE_WIRE_BYTES
    this.#bodyLeft -= taken * LINE_WIRE_BYTES
    return taken * LINE_RAW_BYTES
  }

  #takeLine(wire: Buffer, at: number, raw: Buffer, rawStart: number): number {
    const wireBytes = Math.min(this.#bodyLeft, LINE_WIRE_BYTES)
    const isLast = wireBytes === this.#bodyLeft
    const count = sextetOf(wire[at] as number) ?? 0
    if (isLast ? lineBytes(count) !== wireBytes : count !== LINE_RAW_BYTES) {
      const expected = isLast ? countsOfLine(wireBytes) : `${showCount(LINE_RAW_BYTES)}, the count of a full line`
      throw this.#corrupt(expected, showBytes(wire.subarray(at, at + 1)), 0)
    }
    const lineFeedAt = at + wireBytes - 1
    if (!readGroups(PAIRS, wire, at + 1, lineFeedAt, raw, rawStart)) {
      let wrong = at + 1
      while (sextetOf(wire[wrong] as number) !== undefined) wrong += 1
      throw this.#corrupt(
        'a character from space to grave accent',
        showBytes(wire.subarray(wrong, wrong + 1)),
        wrong - at,
      )
    }
    if (wire[lineFeedAt] !== LINE_FEED) {
      throw this.#corrupt('a line feed', showBytes(wire.subarray(lineFeedAt, lineFeedAt + 1)), wireBytes - 1)
    }
    // A last group of one or two bytes is filled up to three; the filling has been decoded too.
    for (let filling = count; filling % 3 !== 0; filling += 1) {
      if (raw[rawStart + filling] === 0) continue
      const group = wire.subarray(lineFeedAt - 4, lineFeedAt)
      throw this.#corrupt(`a last group filled up with zeros after byte ${count}`, showBytes(group), wireBytes - 5)
    }
    this.#offset += wireBytes
    this.#bodyLeft -= wireBytes
    if (isLast) this.#state = 'length'
    return count
  }

  /** Breaks the decoder. `distance`: from the start of the length or line we are in. */
  #corrupt(expected: string, found: string, distance: number): BackupError {
    const line = this.#state === 'line' ? { line: (this.#bodyBytes - this.#bodyLeft) / LINE_WIRE_BYTES + 1 } : {}
    this.#state = 'broken'
    return corrupt('uuencode', expected, found, { offset: this.#offset + distance, frame: this.#frame, ...line })
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
      wire[at] === FULL_LINE &&
      wire[at + LINE_WIRE_BYTES - 1] === LINE_FEED &&
      readGroups(PAIRS, wire, at + 1, at + LINE_WIRE_BYTES - 1, raw, rawStart + taken * LINE_RAW_BYTES)
    if (!good) break // the slow way finds the words for it
    taken += 1
  }
  return taken
}

const showCount = (count: number): string => showBytes(Uint8Array.of(characterOf(count)))

/** The counts that a last line of this size can have: up to three, because its groups are filled up. */
const countsOfLine = (wireBytes: number): string => {
  const most = ((wireBytes - 2) / 4) * 3
  return `${showCount(most - 2)} to ${showCount(most)}, the count of a line of ${wireBytes} bytes`
}
