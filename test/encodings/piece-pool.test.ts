import { expect, test } from '@jest/globals'

import { PiecePool } from '../../lib/encodings/piece-pool.ts'

const PAGE = 4096
const LARGE = 25 * PAGE

test('memory that came back is given out again, and once, however often it came back', () => {
  const pool = new PiecePool()
  const first = pool.take(LARGE)

  pool.takeBack([first, first])
  const [second, third] = [pool.take(LARGE), pool.take(LARGE)]

  expect(second.buffer).toBe(first.buffer)
  expect(third.buffer).not.toBe(first.buffer)
})

test('what is out is given to nobody else, though parts of it, others of its size and strangers came back', () => {
  const pool = new PiecePool()
  const piece = pool.take(LARGE)
  const shortened = pool.shorten(pool.take(LARGE), LARGE - 1)

  const asLong = Buffer.from(shortened.buffer, 1, LARGE - 1)

  pool.takeBack([piece.subarray(1), piece.subarray(0, LARGE - 1), shortened.subarray(1), asLong, Buffer.alloc(LARGE)])
  const others = [pool.take(LARGE), pool.take(LARGE), pool.take(LARGE)].map(({ buffer }) => buffer)

  expect(others).not.toContain(piece.buffer)
  expect(others).not.toContain(shortened.buffer)
})

test('of a buffer that was shortened the part that went out is to come back; if that is nothing, it is free at once', () => {
  const pool = new PiecePool()
  const shortened = pool.shorten(pool.take(LARGE), 10)

  pool.takeBack([shortened])
  const again = pool.take(LARGE)
  const nothing = pool.shorten(again, 0)

  expect([shortened.length, again.length, nothing.length]).toEqual([10, LARGE, 0])
  expect(again.buffer).toBe(shortened.buffer)
  expect(pool.take(LARGE).buffer).toBe(again.buffer)
})

test('a buffer has no more than the pages that were asked for while nothing has come back, then as large as the largest that did', () => {
  const pool = new PiecePool()
  const small = pool.take(10_000)
  const sizes = [small.buffer.byteLength]

  pool.takeBack([pool.take(LARGE)])
  pool.take(10) // has the one that came back
  sizes.push(pool.take(10_000).buffer.byteLength)
  pool.takeBack([small]) // too small to be of use
  sizes.push(pool.take(10_000).buffer.byteLength)

  expect(sizes).toEqual([3 * PAGE, LARGE, LARGE])
})

test('a few bytes do not take a buffer for themselves', () => {
  const pool = new PiecePool()

  const few = [pool.take(100), pool.shorten(pool.take(1000), 10), pool.shorten(pool.take(100), 0)]
  pool.takeBack(few)

  expect(few.map(({ length }) => length)).toEqual([100, 10, 0])
  expect(pool.take(10).buffer).toBe(Buffer.allocUnsafe(1).buffer)
})

test('all that a mebibyte becomes may be free at a time, and not much more', () => {
  const pool = new PiecePool()
  const pieces = Array.from({ length: 100 }, () => pool.take(LARGE))

  pool.takeBack(pieces)
  const again = Array.from({ length: 100 }, () => pool.take(LARGE))

  const had = new Set(pieces.map(({ buffer }) => buffer))
  const usedBytes = again.filter(({ buffer }) => had.has(buffer)).length * LARGE
  expect(usedBytes).toBeGreaterThan((1_048_576 * 77) / 57)
  expect(usedBytes).toBeLessThanOrEqual(4 * 1_048_576)
})
