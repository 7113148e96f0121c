import { describe, expect, test } from '@jest/globals'

import {
  cutToBytes,
  escapeControls,
  findIllegal,
  findPlainLines,
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

describe('the ends of plain lines', () => {
  const byteByByte = (bytes: Buffer, start: number, end: number, mostLines: number): number[] => {
    const ends: number[] = []
    for (let at = start; at < end && ends.length < mostLines; at += 1) {
      const byte = bytes[at] as number
      if (byte === 0x0a) ends.push(at)
      else if (byte < 0x20 || byte >= 0x7f) break
    }
    return ends
  }

  test('are found up to a byte that is not plain, whichever it is, wherever it stands and however the bytes lie in memory', () => {
    const wrong: string[] = []
    for (let byte = 0; byte < 256; byte += 1) {
      for (let at = 0; at < 40; at += 1) {
        for (let start = 0; start < 4; start += 1) {
          const bytes = Buffer.alloc(44, 'x')
          bytes[at] = byte
          bytes.fill('\n', at + 1, 43) // one after another, as far as it is looked
          const ends = findPlainLines(bytes.subarray(0, 44), start, 40, 100)
          if (ends.join() !== byteByByte(bytes, start, 40, 100).join()) wrong.push(`${byte} at ${at} from ${start}`)
        }
      }
    }

    expect(wrong).toEqual([])
  })

  test('are found in lines of any length, and no more of them than are asked for', () => {
    const wrong: string[] = []
    for (let length = 0; length < 70; length += 1) {
      const bytes = Buffer.from(`${'v'.repeat(length)}\n`.repeat(20))
      for (let most = 0; most <= 21; most += 1) {
        for (let cut = 0; cut < 4; cut += 1) {
          const wanted = byteByByte(bytes, cut, bytes.length - cut, most).join()
          if (findPlainLines(bytes, cut, bytes.length - cut, most).join() !== wanted)
            wrong.push(`${length}, ${most}, ${cut}`)
        }
      }
    }

    expect(wrong).toEqual([])
  })

  test('are none where there is not a byte to look at, or only a few', () => {
    for (let start = 0; start < 8; start += 1) {
      for (let end = start; end < start + 8; end += 1) {
        expect(findPlainLines(Buffer.alloc(20, 'x'), start, end, 9)).toEqual([])
        expect(findPlainLines(Buffer.alloc(20, '\n'), start, end, 9)).toHaveLength(end - start)
      }
    }
  })

  test('end before the first of several bytes that are not plain, and none of those hides in what the others borrow or carry', () => {
    const odd = [0x00, 0x0a, 0x1f, 0x20, 0x7e, 0x7f, 0x80, 0x9f, 0xa0, 0xe0, 0xff]
    const wrong: string[] = []
    for (const first of odd)
      for (const second of odd)
        for (const third of odd)
          for (const fourth of odd) {
            const bytes = Buffer.alloc(36, 'x')
            bytes.set([first, second, third, fourth], 16)
            bytes[30] = 0x0a
            if (findPlainLines(bytes, 0, 36, 9).join() !== byteByByte(bytes, 0, 36, 9).join())
              wrong.push(`${first} ${second} ${third} ${fourth}`)
          }

    expect(wrong).toEqual([])
  })
})
