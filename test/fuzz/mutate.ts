/**
 * Makes inputs: takes a seed, or something put together, and changes it a few times.
 *
 * Input number N of a target is the same in every run with the same seed word and corpus,
 * whatever was run before it.
 */

import { SeededRandom } from '../faults/seeded-random.ts'
import type { Target } from './target.ts'

type Change = (bytes: Buffer, random: SeededRandom, other: () => Buffer) => Buffer

const BYTES = [0x00, 0x01, 0x09, 0x0a, 0x0d, 0x1b, 0x20, 0x22, 0x2e, 0x2f, 0x3d, 0x5c, 0x60, 0x7f, 0x80, 0x9b, 0xff]
const NUMBERS = [
  ...[0n, 1n, 2n, 7n, 255n, 256n, 511n, 512n, 513n, 4095n, 4096n, 65_535n, 65_536n, 65_537n, 1_048_576n, 1_048_577n],
  ...[2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 39n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n],
]
const DIGITS = [
  '0',
  '1',
  '-1',
  '00',
  '01',
  '255',
  '256',
  '257',
  '65536',
  '4294967296',
  '9007199254740993',
  '1e9',
  '0x10',
]

const place = (bytes: Buffer, random: SeededRandom): number => random.between(0, bytes.length)

/** A stretch of it, mostly short. */
const stretch = (bytes: Buffer, random: SeededRandom): readonly [number, number] => {
  const from = place(bytes, random)
  const length = Math.min(bytes.length - from, random.spreadBetween(1, Math.max(2, bytes.length)))
  return [from, from + length]
}

const replaced = (bytes: Buffer, from: number, to: number, by: Buffer): Buffer =>
  Buffer.concat([bytes.subarray(0, from), by, bytes.subarray(to)])

const written = (bytes: Buffer, at: number, by: Buffer): Buffer => {
  const changed = Buffer.from(bytes)
  by.copy(changed, at)
  return changed
}

const flipBit: Change = (bytes, random) => {
  if (bytes.length === 0) return bytes
  const at = random.between(0, bytes.length - 1)
  return written(bytes, at, Buffer.of((bytes[at] ?? 0) ^ (1 << random.between(0, 7))))
}

const setByte: Change = (bytes, random) =>
  bytes.length === 0 ? bytes : written(bytes, random.between(0, bytes.length - 1), Buffer.of(random.pick(BYTES)))

const insertByte: Change = (bytes, random) => {
  const at = place(bytes, random)
  return replaced(bytes, at, at, Buffer.of(random.next() < 0.5 ? random.pick(BYTES) : random.between(0, 255)))
}

const remove: Change = (bytes, random) => replaced(bytes, ...stretch(bytes, random), Buffer.alloc(0))

const repeat: Change = (bytes, random) => {
  const [from, to] = stretch(bytes, random)
  const times = random.spreadBetween(1, Math.max(2, Math.min(4096, Math.floor(65_536 / (to - from + 1)))))
  return replaced(bytes, to, to, Buffer.concat(Array.from({ length: times }, () => bytes.subarray(from, to))))
}

const truncate: Change = (bytes, random) => bytes.subarray(0, place(bytes, random))

/** The beginning of one and the end of another. */
const splice: Change = (bytes, random, other) => {
  const second = other()
  return Buffer.concat([bytes.subarray(0, place(bytes, random)), second.subarray(place(second, random))])
}

const append: Change = (bytes, _, other) => Buffer.concat([bytes, other()])

const swap: Change = (bytes, random) => {
  const [from, to] = stretch(bytes, random)
  return replaced(
    replaced(bytes, from, to, Buffer.alloc(0)),
    place(bytes, random),
    bytes.length,
    bytes.subarray(from, to),
  )
}

/** Lengths, counts and offsets of binary formats. */
const setNumber: Change = (bytes, random) => {
  const field = Buffer.alloc(8)
  field.writeBigUInt64BE(random.pick(NUMBERS))
  const width = random.pick([1, 2, 4, 4, 4, 8])
  const number = Buffer.from(field.subarray(8 - width))
  if (random.next() < 0.5) number.reverse()
  return bytes.length < width ? number : written(bytes, random.between(0, bytes.length - width), number)
}

/** And of those that write them in digits. */
const setDigits: Change = (bytes, random) => {
  const found = [...bytes.toString('latin1').matchAll(/[0-9]+/g)]
  if (found.length === 0) return insertByte(bytes, random, () => bytes)
  const { index, 0: digits } = random.pick(found)
  return replaced(bytes, index, index + digits.length, Buffer.from(random.pick(DIGITS)))
}

/** A long run of one byte, as large as what a format may call a limit. */
const insertRun: Change = (bytes, random) => {
  const at = place(bytes, random)
  return replaced(bytes, at, at, Buffer.alloc(random.spreadBetween(1, 20_000), random.pick(BYTES)))
}

/** Lines are what the text formats are made of. */
const changeLines: Change = (bytes, random, other) => {
  const lines = bytes.toString('latin1').split('\n')
  const at = random.between(0, lines.length - 1)
  const line = lines[at] ?? ''
  switch (random.between(0, 3)) {
    case 0:
      lines.splice(at, 1)
      break
    case 1:
      lines.splice(at, 0, ...Array.from({ length: random.spreadBetween(1, 300) }, () => line))
      break
    case 2:
      lines.splice(random.between(0, lines.length - 1), 0, random.pick(other().toString('latin1').split('\n')))
      break
    default:
      lines.splice(at, 1, random.pick(lines))
  }
  return Buffer.from(lines.join('\n'), 'latin1')
}

const CHANGES: readonly Change[] = [
  ...[flipBit, flipBit, setByte, setByte, insertByte, remove, remove, repeat, truncate, splice, splice, append, swap],
  ...[setNumber, setNumber, setNumber, setDigits, setDigits, insertRun, changeLines, changeLines],
]

/** What the words of the dictionary are put in the place of, or between. */
const useWord = (bytes: Buffer, word: Buffer, random: SeededRandom): Buffer => {
  const at = place(bytes, random)
  if (random.next() < 0.1) {
    const times = random.spreadBetween(2, Math.max(3, Math.min(20_000, Math.floor(65_536 / (word.length + 1)))))
    return replaced(bytes, at, at, Buffer.concat(Array.from({ length: times }, () => word)))
  }
  return random.next() < 0.5 ? replaced(bytes, at, at, word) : written(bytes, at, word)
}

export class InputMaker {
  readonly #target: Target
  readonly #corpus: readonly Buffer[]
  readonly #words: readonly Buffer[]
  readonly #seed: string

  constructor(target: Target, corpus: readonly Buffer[], seed: string) {
    this.#target = target
    this.#corpus = corpus
    this.#words = target.dictionary.map((word) => Buffer.from(word))
    this.#seed = seed
  }

  /** The corpus comes first, as it is. */
  input(number: number): Buffer {
    const kept = this.#corpus[number]
    if (kept !== undefined) return kept
    const random = this.#random('input', number)
    const { compose, mend, maxInputBytes } = this.#target
    const pick = (): Buffer => random.pick(this.#corpus)
    const isComposed = compose !== undefined && random.next() < 0.4
    let bytes = isComposed ? compose(random) : pick()
    const changes = isComposed && random.next() < 0.4 ? 0 : random.spreadBetween(1, 9)
    for (let done = 0; done < changes; done += 1) {
      bytes =
        this.#words.length > 0 && random.next() < 0.25
          ? useWord(bytes, random.pick(this.#words), random)
          : random.pick(CHANGES)(bytes, random, pick)
      if (bytes.length > maxInputBytes) bytes = bytes.subarray(0, maxInputBytes)
    }
    if (mend !== undefined && random.next() < 0.6) bytes = mend(Buffer.from(bytes), random)
    return bytes.subarray(0, maxInputBytes)
  }

  /** The same input, cut at random. */
  pieces(number: number, input: Buffer): Buffer[] {
    const random = this.#random('pieces', number)
    if (input.length <= 64 && random.next() < 0.3) return Array.from(input, (_, at) => input.subarray(at, at + 1))
    const places = Array.from({ length: random.spreadBetween(1, 12) }, () => place(input, random)).sort((a, b) => a - b)
    return [0, ...places].map((from, index) => input.subarray(from, places[index] ?? input.length))
  }

  #random(what: string, number: number): SeededRandom {
    return new SeededRandom(`${this.#seed} ${this.#target.name} ${what} ${number}`)
  }
}
