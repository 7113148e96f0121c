import { describe, expect, test } from '@jest/globals'

import { LentBuffers } from '../../lib/flow/lent-buffers.ts'

const BYTES = 1000
const MAX_FREE = 16

/** Whether a new buffer stands in the memory of another. */
const isSame = (one: Buffer, other: Buffer): boolean => one.buffer === other.buffer

describe('a buffer', () => {
  test('is used again when every byte has come back, in whatever views', () => {
    const buffers = new LentBuffers(BYTES, MAX_FREE)
    const view = buffers.lend(buffers.take(), 700)

    buffers.takeBack([view.subarray(300), Buffer.alloc(300)])
    expect(isSame(buffers.take(), view)).toBe(false)
    buffers.takeBack([view.subarray(0, 100)])
    buffers.takeBack([view.subarray(100, 299)])
    expect(isSame(buffers.take(), view)).toBe(false)
    buffers.takeBack([view.subarray(299, 300)])

    const again = buffers.take()
    expect(isSame(again, view)).toBe(true)
    expect(again.length).toBe(BYTES)
  })

  test('begins at a line of the cache where the C library has put 16 bytes before it, and is of the wanted size', () => {
    const { byteOffset, length } = new LentBuffers(BYTES, MAX_FREE).take()

    expect({ behindLine: (16 + byteOffset) % 64, length }).toEqual({ behindLine: 0, length: BYTES })
  })

  test('is lent to one at a time', () => {
    const buffers = new LentBuffers(BYTES, MAX_FREE)
    const first = buffers.lend(buffers.take(), BYTES)
    buffers.takeBack([first])

    const second = buffers.lend(buffers.take(), BYTES)

    expect(isSame(second, first)).toBe(true)
    expect(isSame(buffers.take(), first)).toBe(false)
  })

  test('that was lent again is counted anew', () => {
    const buffers = new LentBuffers(BYTES, MAX_FREE)
    buffers.takeBack([buffers.lend(buffers.take(), 10)])

    const view = buffers.lend(buffers.take(), BYTES)
    buffers.takeBack([view.subarray(0, BYTES - 1)])

    expect(isSame(buffers.take(), view)).toBe(false)
  })

  test('that nobody has lent is left alone', () => {
    const buffers = new LentBuffers(BYTES, MAX_FREE)
    const foreign = Buffer.alloc(BYTES)

    buffers.takeBack([foreign, foreign.subarray(10)])

    expect(isSame(buffers.take(), foreign)).toBe(false)
  })

  test('is kept only while there are few of them', () => {
    const buffers = new LentBuffers(BYTES, MAX_FREE)
    const views = Array.from({ length: 100 }, () => buffers.lend(buffers.take(), BYTES))

    buffers.takeBack(views)
    const kept = Array.from({ length: 100 }, () => buffers.take()).filter((taken) =>
      views.some((view) => isSame(view, taken)),
    )

    expect(kept.length).toBe(MAX_FREE)
  })
})
