import { describe, expect, test } from '@jest/globals'
import { randomBytes } from 'node:crypto'

import { createEncoder, frameRawBytes } from '../../lib/encodings/index.ts'
import { fixture, RAW, run } from './foreign-programs.ts'
import { encodeAll, oneByteAtATime } from './streams.ts'

const SIZES = [1, 2, 3, 44, 45, 46, 55, 56, 57, 58, 256, 10_240, 20_481]

describe('uuencode on the wire', () => {
  test.each(SIZES)('is, for %d bytes, what Perl recorded', (rawBytes) => {
    const raw = RAW.subarray(0, rawBytes)
    const recorded = fixture(`uuencode-${rawBytes}.bin`)

    expect(encodeAll(createEncoder('uuencode'), [raw])).toEqual(recorded)
    expect(encodeAll(createEncoder('uuencode'), oneByteAtATime(raw))).toEqual(recorded)
  })

  test('is nothing at all for nothing, because a frame of length 0 looks like the end', () => {
    expect(encodeAll(createEncoder('uuencode'), [])).toEqual(Buffer.alloc(0))
  })

  test('writes zeros as grave accents, never as spaces', () => {
    const wire = encodeAll(createEncoder('uuencode'), [Buffer.alloc(1000)])

    expect(wire.includes(' ', 4)).toBe(false)
    expect(wire.toString('latin1', 4, 66)).toBe(`M${'`'.repeat(60)}\n`)
  })

  test.each([57, 90, 91, 135, 2070, 2071, 2116, 10_240, 1_048_576])(
    'is what Perl writes now, in blocks of %d',
    (blockBytes) => {
      const raw = randomBytes(3 * blockBytes + 1000)
      const perl =
        'binmode STDIN; binmode STDOUT; while (read(STDIN, $_, $ARGV[0])) { print pack("N/a*", pack("u", $_)) }'

      const wire = encodeAll(createEncoder('uuencode', { blockBytes }), [raw])

      expect(wire.equals(run('perl', ['-e', perl, `${frameRawBytes(blockBytes)}`], raw))).toBe(true)
    },
  )
})
