import { expect, test } from '@jest/globals'

import { HeldTail, PairedOffsets } from '../../lib/flow/index.ts'

const bytes = (text: string): Buffer => Buffer.from(text)
const text = (buffers: readonly Buffer[]): string => Buffer.concat(buffers).toString()

test.each([
  ['one byte at a time', ['a', 'b', 'c', 'd', 'e', 'f', 'g'], ['a', 'b', 'c', 'd'], 'efg'],
  ['at once', ['abcdefg'], [], 'abcdefg'],
  ['in pieces', ['abc', '', 'defg'], ['abc', ''], 'defg'],
  ['in pieces that are larger than what is kept', ['abcd', 'efghi', 'jk', 'l'], ['abcd', 'efghi'], 'jkl'],
  ['in pieces of which several leave at once', ['ab', 'cd', 'efgh'], ['ab', 'cd'], 'efgh'],
])('keeps the newest bytes back that come %s, and cuts no piece', (_, pieces, left, kept) => {
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
  expect(tail.push(bytes('k'))).toEqual([])
  expect(text(tail.push(bytes('lmnopqrst')))).toBe('abcdefghij')
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
