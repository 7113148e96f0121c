import { expect, test } from '@jest/globals'

import { LineReader } from '../../lib/protocol/line-reader.ts'

/** All lines, and what is left of the last one; a line over the room ends the reading. */
const linesOf = (chunks: readonly string[], roomBytes: number): string[] => {
  const reader = new LineReader()
  const lines: string[] = []
  for (const chunk of chunks) {
    const bytes = Buffer.from(chunk)
    for (let at = 0; at < bytes.length; at = reader.next) {
      const line = reader.read(bytes, at, roomBytes)
      if (line === undefined) break
      lines.push(line.toString())
      if (line.length > roomBytes) return [...lines, 'over']
    }
  }
  return reader.carriedBytes === 0 ? lines : [...lines, `and ${reader.carriedBytes} bytes`]
}

test.each([
  ['lines in one chunk', ['a\nbc\n\n'], ['a', 'bc', '']],
  ['a line cut in two', ['ab', 'c\nd\n'], ['abc', 'd']],
  ['a line cut before its LF', ['abc', '\nd\n'], ['abc', 'd']],
  ['a line cut behind its LF', ['abc\n', 'd\n'], ['abc', 'd']],
  ['a line in many pieces', ['a', 'b', 'c', 'd', '\n'], ['abcd']],
  ['an empty line alone in a chunk', ['a', '\n', '\n'], ['a', '']],
  ['a line that has not ended', ['a\nbc'], ['a', 'and 2 bytes']],
  ['a line of just the room', ['abcde\n'], ['abcde']],
  ['a line of just the room, its LF in the next chunk', ['abcde', '\n'], ['abcde']],
  ['a line over the room, by its first bytes', ['abcdefghij\n'], ['abcdef', 'over']],
  ['a line over the room, before it ends', ['abc', 'defghij'], ['abcdef', 'over']],
  ['a short line behind a long one that was cut', ['abc', 'de\n', 'x', 'y\n'], ['abcde', 'xy']],
])('reads %s', (_, chunks, lines) => {
  expect(linesOf(chunks, 5)).toEqual(lines)
})

test('without room for a line feed, the first byte is over', () => {
  expect(new LineReader().read(Buffer.from('\n'), 0, -1)).toHaveLength(0)
})

test('a line inside a chunk is a view of it, a line that was cut is not', () => {
  const reader = new LineReader()
  const chunk = Buffer.from('ab\ncd')
  const next = Buffer.from('ef\n')

  const first = reader.read(chunk, 0, 80)
  reader.read(chunk, reader.next, 80)
  const second = reader.read(next, 0, 80)
  chunk.fill('!')
  next.fill('!')

  expect([first?.toString(), second?.toString()]).toEqual(['!!', 'cdef'])
})
