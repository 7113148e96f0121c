import { describe, expect, test } from '@jest/globals'

import { MAX_LINE_BYTES, StderrLines } from '../../lib/engines/stderr-lines.ts'

const WORDS = Buffer.from('one\n\ntwo € three\r\nfour\nlast without end')
const LINES = ['one', '', 'two € three', 'four', 'last without end']

const cut = (...chunks: Buffer[]): string[] => {
  const lines = new StderrLines()
  return [...chunks.flatMap((chunk) => [...lines.push(chunk)]), ...lines.end()]
}

describe('lines of stderr', () => {
  test.each(Array.from({ length: WORDS.length + 1 }, (_, at) => at))(
    'are the same when the bytes are cut at %i',
    (at) => {
      expect(cut(WORDS.subarray(0, at), WORDS.subarray(at))).toEqual(LINES)
    },
  )

  test('are the same byte by byte', () => {
    expect(cut(...Array.from(WORDS, (byte) => Buffer.of(byte)))).toEqual(LINES)
  })

  test('do not end with an empty one when the program ended its last line', () => {
    expect(cut(Buffer.from('one\n'))).toEqual(['one'])
    expect(cut()).toEqual([])
  })

  test('are cut at the limit, and the next one is whole', () => {
    const long = 'x'.repeat(MAX_LINE_BYTES + 1000)

    expect(cut(Buffer.from(long.slice(0, 5000)), Buffer.from(`${long.slice(5000)}\nnext\n`))).toEqual([
      long.slice(0, MAX_LINE_BYTES),
      'next',
    ])
  })

  test('count every byte, kept or not', () => {
    const lines = new StderrLines()

    for (const _ of lines.push(Buffer.alloc(MAX_LINE_BYTES * 3))) throw new Error('no line ended')

    expect(lines.bytes).toBe(MAX_LINE_BYTES * 3)
  })

  test('show bytes that are no text as such', () => {
    expect(cut(Buffer.of(0x61, 0xff, 0x62, 0x0a))).toEqual(['a\ufffdb'])
  })
})
