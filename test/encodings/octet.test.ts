import { describe, expect, test } from '@jest/globals'

import { createDecoder, createEncoder } from '../../lib/encodings/index.ts'
import { decodeAll, encodeAll, everyCut } from './streams.ts'

const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))

describe('octet-stream', () => {
  test('is the bytes as they are, however they are cut', () => {
    for (const { chunks } of everyCut(ALL_BYTES)) {
      expect(encodeAll(createEncoder('octet'), chunks)).toEqual(ALL_BYTES)
      expect(decodeAll(createDecoder('octet'), chunks)).toEqual(ALL_BYTES)
    }
  })

  test('hands on a view, not a copy, both ways', () => {
    const chunk = Buffer.from('before')

    const [piece] = createEncoder('octet').encode(chunk)
    const [raw] = createDecoder('octet').decode(chunk)
    chunk.write('AFTER!') // only a view can see this

    expect(piece?.wire.toString()).toBe('AFTER!')
    expect(raw?.toString()).toBe('AFTER!')
  })

  test('counts the raw bytes as they go', () => {
    const encoder = createEncoder('octet')

    const ends = [3, 0, 5].flatMap((bytes) => encoder.encode(Buffer.alloc(bytes))).map(({ rawEnd }) => rawEnd)

    expect(ends).toEqual([3, 8])
    expect(encoder.end()).toEqual([])
  })
})
