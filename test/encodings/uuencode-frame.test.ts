import { describe, expect, test } from '@jest/globals'

import { frameRawBytes, MAX_BLOCK_BYTES, MIN_BLOCK_BYTES, uuencodedBytes } from '../../lib/encodings/index.ts'
import { isBodySize } from '../../lib/encodings/uuencode-frame.ts'
import { fixture } from './foreign-programs.ts'

describe('the size of a frame body', () => {
  test.each([
    [1, 6],
    [3, 6],
    [4, 10],
    [42, 58],
    [43, 62],
    [45, 62],
    [46, 68],
    [90, 124],
    [10_240, 14_112],
    [1_048_576, 1_444_708],
  ])('of %d raw bytes is %d', (rawBytes, bodyBytes) => {
    expect(uuencodedBytes(rawBytes)).toBe(bodyBytes)
  })

  test('is what Perl made of a default block', () => {
    const frame = fixture('uuencode-10240.bin')

    expect(frame.readUInt32BE(0)).toBe(uuencodedBytes(10_240))
    expect(frame.length).toBe(4 + uuencodedBytes(10_240))
  })

  test.each([0, -1, 1.5, MAX_BLOCK_BYTES + 1, Number.NaN])('is refused for %d raw bytes', (rawBytes) => {
    expect(() => uuencodedBytes(rawBytes)).toThrow(expect.objectContaining({ code: 'ENCODING_BLOCK_SIZE' }))
  })

  test('is one that whole lines can have, and no other is', () => {
    const possible = new Set(Array.from({ length: 200 }, (_, index) => uuencodedBytes(index + 1)))

    for (let bodyBytes = 1; bodyBytes <= uuencodedBytes(200); bodyBytes += 1) {
      expect([bodyBytes, isBodySize(bodyBytes)]).toEqual([bodyBytes, possible.has(bodyBytes)])
    }
  })
})

describe('the raw bytes of a frame', () => {
  test.each([
    [10_240, 10_240],
    [2116, 2116],
    [1_048_576, 1_048_576],
    [90, 90],
  ])('are the block size when deployed clients take it: %d gives %d', (blockBytes, rawBytes) => {
    expect(frameRawBytes(blockBytes)).toBe(rawBytes)
  })

  test.each([
    [57, 45],
    [91, 90],
    [2071, 2070],
  ])('are whole lines when the short line would make it too long: %d gives %d', (blockBytes, rawBytes) => {
    expect(frameRawBytes(blockBytes)).toBe(rawBytes)
  })

  test('never give a frame that a deployed client refuses, and never waste a line', () => {
    const refused: number[] = []
    const wasted: number[] = []

    const check = (blockBytes: number) => {
      const rawBytes = frameRawBytes(blockBytes)
      if (uuencodedBytes(rawBytes) > 1.38 * blockBytes) refused.push(blockBytes)
      if (blockBytes - rawBytes >= 45) wasted.push(blockBytes)
    }
    for (let blockBytes = MIN_BLOCK_BYTES; blockBytes <= 20_000; blockBytes += 1) check(blockBytes)
    for (let blockBytes = 20_000; blockBytes <= MAX_BLOCK_BYTES; blockBytes += 997) check(blockBytes)
    check(MAX_BLOCK_BYTES)

    expect(refused).toEqual([])
    expect(wasted).toEqual([])
  })
})
