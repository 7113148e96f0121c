import { describe, expect, test } from '@jest/globals'
import { randomBytes } from 'node:crypto'

import { createEncoder, type EncodingName, frameRawBytes } from '../../lib/encodings/index.ts'
import { cutAt, encodeAll, everyCut } from './streams.ts'

const UNITS: [EncodingName, number, number][] = [
  ['uuencode', 57, frameRawBytes(57)],
  ['uuencode', 10_240, 10_240],
  ['uuencode', 1_048_576, 1_048_576],
  ['base64', 10_240, 57],
]

describe.each(UNITS)('the %s encoder with blocks of %d', (name, blockBytes, unitBytes) => {
  const newEncoder = () => createEncoder(name, { blockBytes })

  test('gives nothing for nothing', () => {
    const encoder = newEncoder()

    expect(encoder.encode(Buffer.alloc(0))).toEqual([])
    expect(encoder.end()).toEqual([])
  })

  test('lets a unit go with its last byte, not later', () => {
    const encoder = newEncoder()

    expect(encoder.encode(Buffer.alloc(unitBytes - 1))).toEqual([])
    const pieces = encoder.encode(Buffer.alloc(1))

    expect(pieces.map(({ rawEnd }) => rawEnd)).toEqual([unitBytes])
    expect(encoder.end()).toEqual([])
  })

  test('keeps less than a unit and says where the wire really ends', () => {
    const encoder = newEncoder()

    const first = encoder.encode(Buffer.alloc(unitBytes + 3))
    const second = encoder.encode(Buffer.alloc(2 * unitBytes))
    const last = encoder.end()

    expect(first.at(-1)?.rawEnd).toBe(unitBytes)
    expect(second.at(-1)?.rawEnd).toBe(3 * unitBytes)
    expect(last.map(({ rawEnd }) => rawEnd)).toEqual([3 * unitBytes + 3])
  })

  test('batches a big chunk into few pieces', () => {
    const raw = Buffer.alloc(3 * 1_048_576)

    const pieces = newEncoder().encode(raw)

    expect(pieces.length).toBeLessThanOrEqual(raw.length / 32_768)
  })

  test('keeps what it still needs of a chunk that is then written over', () => {
    const raw = randomBytes(unitBytes + 10)
    const lent = Buffer.from(raw)
    const encoder = newEncoder()

    const pieces = encoder.encode(lent.subarray(0, 10))
    lent.fill(0, 0, 10)
    pieces.push(...encoder.encode(lent.subarray(10)))
    lent.fill(0)
    pieces.push(...encoder.end())

    expect(Buffer.concat(pieces.map(({ wire }) => wire)).equals(encodeAll(newEncoder(), [raw]))).toBe(true)
  })

  test('gives the same wire bytes however big data is cut', () => {
    const raw = randomBytes(3 * unitBytes + 200_000)
    const whole = encodeAll(newEncoder(), [raw])
    const cuts = [1, unitBytes - 1, unitBytes, unitBytes + 1, 2 * unitBytes, raw.length - 1]

    for (const at of cuts) expect(encodeAll(newEncoder(), cutAt(raw, [at])).equals(whole)).toBe(true)
    expect(encodeAll(newEncoder(), cutAt(raw, cuts)).equals(whole)).toBe(true)
  })

  test('is a bug to feed after its end', () => {
    const encoder = newEncoder()
    encoder.end()

    expect(() => encoder.encode(Buffer.alloc(1))).toThrow('bug')
    expect(() => encoder.end()).toThrow('bug')
  })
})

test.each<[EncodingName]>([['uuencode'], ['base64']])('%s gives the same wire bytes cut at each byte', (name) => {
  const raw = randomBytes(260)
  const newEncoder = () => createEncoder(name, { blockBytes: 101 })
  const whole = encodeAll(newEncoder(), [raw])

  for (const { chunks } of everyCut(raw)) expect(encodeAll(newEncoder(), chunks)).toEqual(whole)
})
