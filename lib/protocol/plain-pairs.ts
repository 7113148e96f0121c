/**
 * Takes good pairs in plain ASCII out of a chunk, as many at a time as lie in it whole.
 *
 *     key-of-some-length=a value\n
 *     ····++++····++++··|                four bytes at a time: plain? any "=" among them? and the hash of the key
 *                        ················|   sixteen at a time: plain?
 *
 * Nearly all pairs there are. What is taken here, the parser would have taken line by line
 * and to the same end; at whatever is anything else this stops, and does not say why.
 *
 * Pure. The chunk is only lent: what stays of it is one string.
 */

import { hashEnd, hashOn, type PairTable } from './pair-table.ts'

const LF = 0x0a
const HIGH_BITS = 0x8080_8080 | 0

/** Printable ASCII. */
const isPlain = (byte: number): boolean => byte >= 0x20 && byte < 0x7f

/**
 * Has the high bit of each byte that is not plain; if there are several, of the lowest of them at least.
 *
 * Where there is none, nothing is borrowed or carried from one byte to the next: taking 0x20 away is below zero for
 * less than that, and adding 1 reaches the high bit from 0x7f on. For 0xff the first of the two has it.
 */
const oddities = (word: number): number => (word - 0x20202020) | (word + 0x01010101)

/** Has the high bit of each byte that is "="; above the lowest of them perhaps of others. */
const equalsIn = (word: number): number => {
  const others = word ^ 0x3d3d3d3d
  return (others - 0x01010101) & ~others & HIGH_BITS
}

/** Which byte of a word it is, of the lowest bit that is set. */
const lowestByte = (bits: number): number => (31 - Math.clz32(bits & -bits)) >> 3

/**
 * @param end no byte from here on is looked at
 * @param mostPairs how many are taken at the most
 * @returns where the first byte stands that was not taken
 */
export const takePlainPairs = (
  chunk: Buffer,
  start: number,
  end: number,
  maxLineBytes: number,
  mostPairs: number,
  pairs: PairTable,
): number => {
  const words = new DataView(chunk.buffer, chunk.byteOffset, end)
  const lastWord = end - 4
  const before = pairs.size
  let lineAt = start
  while (pairs.size - before < mostPairs) {
    let at = lineAt
    let hash = 0
    let word = 0
    let equals = 0
    let odd = 0
    for (; at <= lastWord; at += 4) {
      word = words.getInt32(at, true)
      equals = equalsIn(word)
      odd = oddities(word) & HIGH_BITS
      if ((equals | odd) !== 0) break
      hash = hashOn(hash, word)
    }
    const keyBytesLeft = lowestByte(equals)
    if (equals === 0 || (odd !== 0 && lowestByte(odd) < keyBytesLeft)) break
    const equalsAt = at + keyBytesLeft
    if (equalsAt === lineAt) break
    hash = hashEnd(hash, word & ((1 << (8 * keyBytesLeft)) - 1))

    const lineFeed = findOdd(words, chunk, equalsAt + 1, end)
    if (lineFeed === end || chunk[lineFeed] !== LF || lineFeed - lineAt > maxLineBytes) break
    if (!pairs.addHashed(hash, lineAt - start, equalsAt - start, lineFeed - start)) break
    lineAt = lineFeed + 1
  }
  if (lineAt > start) pairs.setText(chunk.toString('latin1', start, lineAt), before)
  return lineAt
}

/** @returns where the first byte stands that is not plain; `end` when there is none */
const findOdd = (words: DataView, bytes: Buffer, start: number, end: number): number => {
  const lastWord = end - 4
  let at = start
  for (; at <= lastWord - 12; at += 16) {
    const odd =
      oddities(words.getInt32(at, true)) |
      oddities(words.getInt32(at + 4, true)) |
      oddities(words.getInt32(at + 8, true)) |
      oddities(words.getInt32(at + 12, true))
    if ((odd & HIGH_BITS) !== 0) break
  }
  for (; at <= lastWord; at += 4) {
    const odd = oddities(words.getInt32(at, true)) & HIGH_BITS
    if (odd !== 0) return at + lowestByte(odd)
  }
  while (at < end && isPlain(bytes[at] as number)) at += 1
  return at
}
