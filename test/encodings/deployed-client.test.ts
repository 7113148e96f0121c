import { describe, expect, test } from '@jest/globals'
import { randomBytes } from 'node:crypto'

import { createEncoder, type EncodingName, MAX_BLOCK_BYTES, MIN_BLOCK_BYTES } from '../../lib/encodings/index.ts'
import { fixturePath, run } from './foreign-programs.ts'
import { encodeAll } from './streams.ts'

const BLOCK_SIZES = [MIN_BLOCK_BYTES, 58, 91, 114, 2071, 2115, 2116, 4096, 10_240, 65_537, MAX_BLOCK_BYTES]

const readByDeployedClient = (encoding: EncodingName, blockBytes: number, wire: Buffer): Buffer =>
  run('perl', [fixturePath(`deployed-client-reads-${encoding}.pl`), `${blockBytes}`], wire)

describe.each<[EncodingName]>([['uuencode'], ['base64']])('a deployed client reads our %s', (encoding) => {
  test.each(BLOCK_SIZES)('in blocks of %d', (blockBytes) => {
    for (const rawBytes of [0, 1, blockBytes - 1, blockBytes, blockBytes + 1, 3 * blockBytes + 20_000]) {
      const raw = randomBytes(rawBytes)
      const wire = encodeAll(createEncoder(encoding, { blockBytes }), [raw])

      expect(readByDeployedClient(encoding, blockBytes, wire).equals(raw)).toBe(true)
    }
  })
})

test('a deployed client would refuse a whole block of 57 as a frame, which is why ours carry 45', () => {
  const perl = 'print pack("N/a*", pack("u", "x" x 57))'
  const wire = run('perl', ['-e', perl], Buffer.alloc(0))

  expect(() => readByDeployedClient('uuencode', 57, wire)).toThrow('frame of 80 bytes is too long for blocks of 57')
})
