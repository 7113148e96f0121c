import { describe, expect, test } from '@jest/globals'

import {
  checkBlockBytes,
  createDecoder,
  createEncoder,
  DEFAULT_BLOCK_BYTES,
  ENCODINGS,
  type EncodingName,
  MAX_BLOCK_BYTES,
  MIN_BLOCK_BYTES,
} from '../../lib/encodings/index.ts'

const NAMES = Object.keys(ENCODINGS) as EncodingName[]

describe('the block size', () => {
  test.each([MIN_BLOCK_BYTES, DEFAULT_BLOCK_BYTES, MAX_BLOCK_BYTES])('may be %d', (blockBytes) => {
    expect(checkBlockBytes(blockBytes)).toBe(blockBytes)
  })

  test('has room for a whole base64 line, because deployed clients read whole lines only', () => {
    const linesADeployedClientReads = Math.floor(MIN_BLOCK_BYTES / 57)

    expect(linesADeployedClientReads).toBeGreaterThan(0)
  })

  test.each([
    ['less than a base64 line', 56],
    ['more than the limit', 1_048_577],
    ['zero', 0],
    ['a negative number', -10_240],
    ['a fraction', 100.5],
    ['no number at all', Number.NaN],
    ['infinity', Number.POSITIVE_INFINITY],
  ])('is refused when it is %s, in every encoding, both ways', (_, blockBytes) => {
    const refusal = expect.objectContaining({
      code: 'ENCODING_BLOCK_SIZE',
      message: `expected a block size of 57 to 1048576 whole bytes, found ${blockBytes}`,
      hint: expect.stringContaining('10240'),
    })

    expect(() => checkBlockBytes(blockBytes)).toThrow(refusal)
    for (const name of NAMES) {
      expect(() => createEncoder(name, { blockBytes })).toThrow(refusal)
      expect(() => createDecoder(name, { blockBytes })).toThrow(refusal)
    }
  })
})
