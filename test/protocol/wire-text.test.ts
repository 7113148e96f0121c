import { describe, expect, test } from '@jest/globals'

import { cutToBytes, escapeControls, findIllegal, isWellFormed, showWire } from '../../lib/protocol/wire-text.ts'

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
