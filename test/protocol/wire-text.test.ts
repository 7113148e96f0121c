import { describe, expect, test } from '@jest/globals'

import {
  cutToBytes,
  escapeControls,
  findIllegal,
  findUnplain,
  isWellFormed,
  showWire,
} from '../../lib/protocol/wire-text.ts'

describe('a foreign text in a message', () => {
  test.each([
    ['printable ASCII as it is', 'GET / HTTP/1.1', '"GET / HTTP/1.1"'],
    ['quotes and backslashes escaped', 'a"b\\c', '"a\\"b\\\\c"'],
    ['control characters escaped', '\u001b[2J\r\n\t\0', '"\\x1b[2J\\r\\n\\t\\x00"'],
    ['other characters by their bytes', 'é', '"\\xc3\\xa9"'],
    ['nothing', '', '""'],
    ['eighty characters whole', 'x'.repeat(80), `"${'x'.repeat(80)}"`],
    ['more than eighty cut', 'x'.repeat(81), `"${'x'.repeat(80)}"…`],
    ['no half of an escape', `${'x'.repeat(78)}\0`, `"${'x'.repeat(78)}"…`],
  ])('shows %s', (_, text, shown) => {
    expect(showWire(text)).toBe(shown)
    expect(showWire(Buffer.from(text))).toBe(shown)
  })

  test('of a megabyte is not looked at beyond what is shown', () => {
    expect(showWire(Buffer.alloc(1_000_000, 'x')).length).toBe(83)
  })
})

test.each([
  ['plain text', 'a=é\u{1f4be}\u00a0\u2028', undefined],
  ['nothing', '', undefined],
  ['the first C1', '\u0080', 'PROTOCOL_CONTROL_BYTE'],
  ['the last C1', '\u009f', 'PROTOCOL_CONTROL_BYTE'],
  ['a continuation byte like C1 behind another lead byte', 'Û', undefined],
  ['DEL', '\u007f', 'PROTOCOL_CONTROL_BYTE'],
])('in a line, %s is found', (_, text, code) => {
  expect(findIllegal(Buffer.from(text))?.code).toBe(code)
})

test('a control byte is named before bad UTF-8 is', () => {
  expect(findIllegal(Buffer.of(0xff, 0x00))).toEqual({
    code: 'PROTOCOL_CONTROL_BYTE',
    found: 'control byte 0x00 at byte 2',
  })
})

test.each([
  ['nothing that fits', 'abc', 3, 'abc'],
  ['between characters', 'abcdef', 5, 'ab…'],
  ['not inside a character', 'a€€€', 8, 'a€…'],
])('cuts %s', (_, text, maxBytes, cut) => {
  expect(cutToBytes(text, maxBytes)).toBe(cut)
})

test('knows half a surrogate pair, and replaces it', () => {
  expect([isWellFormed('\u{1f4be}'), isWellFormed('\ud83d'), isWellFormed('\ude00\ud83d')]).toEqual([
    true,
    false,
    false,
  ])
  expect(escapeControls('\udcbe\u{1f4be}')).toBe('\ufffd\u{1f4be}')
})

describe('the first byte that is not plain', () => {
  const isPlain = (byte: number): boolean => byte === 0x0a || (byte >= 0x20 && byte < 0x7f)

  test('is found whichever byte it is, wherever it stands and however the bytes lie in memory', () => {
    const wrong: string[] = []
    for (let byte = 0; byte < 256; byte += 1) {
      for (let at = 0; at < 16; at += 1) {
        for (let start = 0; start < 4; start += 1) {
          const bytes = Buffer.alloc(20, 'x')
          bytes[at] = byte
          bytes[16] = 0xff // behind the end
          const wanted = at < start || isPlain(byte) ? 16 : at
          if (findUnplain(bytes.subarray(0, 17), start, 16) !== wanted) wrong.push(`${byte} at ${at} from ${start}`)
        }
      }
    }

    expect(wrong).toEqual([])
  })

  test('is none where there is not a byte to look at, or only a few', () => {
    for (let start = 0; start < 8; start += 1) {
      for (let end = start; end < start + 8; end += 1) {
        const bytes = Buffer.alloc(20, 'x')
        expect(findUnplain(bytes, start, end)).toBe(end)
      }
    }
  })

  test('is the first of several', () => {
    for (let at = 0; at < 12; at += 1) {
      const bytes = Buffer.alloc(16, '\n')
      bytes.fill(0x80, at)
      expect(findUnplain(bytes, 0, 16)).toBe(at)
    }
  })
})
