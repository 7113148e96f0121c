import { describe, expect, test } from '@jest/globals'
import { randomBytes } from 'node:crypto'

import { createEncoder } from '../../lib/encodings/index.ts'
import { fixture, RAW, run } from './foreign-programs.ts'
import { encodeAll, oneByteAtATime } from './streams.ts'

const SIZES = [1, 2, 3, 44, 45, 46, 55, 56, 57, 58, 256, 10_240, 20_481]

describe('base64 on the wire', () => {
  test.each(SIZES)('is, for %d bytes, what Perl recorded', (rawBytes) => {
    const raw = RAW.subarray(0, rawBytes)
    const recorded = fixture(`base64-${rawBytes}.txt`)

    expect(encodeAll(createEncoder('base64'), [raw])).toEqual(recorded)
    expect(encodeAll(createEncoder('base64'), oneByteAtATime(raw))).toEqual(recorded)
  })

  test('is nothing at all for nothing', () => {
    expect(encodeAll(createEncoder('base64'), [])).toEqual(Buffer.alloc(0))
  })

  test.each([
    ['Perl', 'perl', ['-MMIME::Base64', '-0777', '-e', 'binmode STDIN; print encode_base64(<STDIN>)']],
    ['coreutils', 'base64', ['-w76']],
    [
      'Python',
      'python3',
      ['-c', 'import base64, sys; sys.stdout.buffer.write(base64.encodebytes(sys.stdin.buffer.read()))'],
    ],
  ])('is what %s writes now', (_, program, args) => {
    for (const rawBytes of [1, 56, 57, 58, 114, 3_000_017]) {
      const raw = randomBytes(rawBytes)

      expect(encodeAll(createEncoder('base64'), [raw]).equals(run(program, args, raw))).toBe(true)
    }
  })

  test('is the same for every block size', () => {
    const raw = randomBytes(5000)

    const wires = [57, 58, 10_240, 1_048_576].map((blockBytes) =>
      encodeAll(createEncoder('base64', { blockBytes }), [raw]),
    )

    expect(new Set(wires.map((wire) => wire.toString('latin1'))).size).toBe(1)
  })
})
