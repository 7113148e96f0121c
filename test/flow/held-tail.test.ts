import { expect, test } from '@jest/globals'

import { HeldTail, PairedOffsets } from '../../lib/flow/index.ts'

const bytes = (text: string): Buffer => Buffer.from(text)
const text = (buffers: readonly Buffer[]): string => Buffer.concat(buffers).toString()

test.each([
  ['one byte at a time', ['a', 'b', 'c', 'd', 'e', 'f', 'g'], ['a', 'b', 'c', 'd'], 'efg'],
  ['at once', ['abcdefg'], ['abcd'], 'efg'],
  ['in pieces', ['abc', '', 'defg'], ['abc', ''], 'defg'],
  ['in pieces of which several leave at once', ['ab', 'cd', 'efgh'], ['a', 'b', 'cd'], 'efgh'],
  ['in pieces of which one is whole only later', ['abc', 'defgh', 'jk', 'l'], ['abc', 'defg', 'h'], 'jkl'],
])('keeps the newest bytes back that come %s', (_, pieces, left, kept) => {
  const tail = new HeldTail(3)

  const found = pieces.flatMap((piece) => tail.push(bytes(piece)).map(String))

  expect(found).toEqual(left)
  expect(tail.heldBytes).toBe(kept.length)
  expect(text(tail.release())).toBe(kept)
  expect(tail.heldBytes).toBe(0)
})

test('lets nothing go while there is no more than it keeps', () => {
  const tail = new HeldTail(10)

  expect(tail.push(bytes('abcdefghij'))).toEqual([])
  expect(text(tail.push(bytes('k')))).toBe('a')
})

test('lets something go for every byte of what trickles, behind a large piece too', () => {
  const tail = new HeldTail(3)
  tail.push(bytes('abc'))
  tail.push(bytes('defghijk'))

  expect(['l', 'm', 'n'].map((byte) => text(tail.push(bytes(byte))).length > 0)).toEqual([true, true, true])
})

test('a tail of nothing is a mistake', () => {
  expect(() => new HeldTail(0)).toThrow('holds nothing back')
})

test('says how much had gone in when so much came out', () => {
  const offsets = new PairedOffsets()
  offsets.note(10, 1000)
  offsets.note(20, 5000)

  expect([0, 9, 10, 15, 20].map((out) => offsets.inAt(out))).toEqual([0, 0, 1000, 1000, 5000])

  offsets.note(30, 6000)
  expect([25, 30, 40].map((out) => offsets.inAt(out))).toEqual([5000, 6000, 6000])
})
