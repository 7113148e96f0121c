import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { LineMatcher } from '../../lib/client/recorded-session-match.ts'
import { parseWireText, spellBytes, spellWireText } from '../../lib/client/recorded-session-text.ts'

const fail = (problem: string): never => {
  throw new Error(problem)
}
const parse = (text: string) => parseWireText(text, fail)

describe('bytes in a session file', () => {
  test('any bytes are written as printable ASCII without a blank at the end, and read back the same', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), (array) => {
        const bytes = Buffer.from(array)

        const text = spellWireText([bytes])

        expect(text).toMatch(/^[ -~]*[!-~]$/)
        expect(parse(text)).toEqual([bytes])
      }),
    )
  })

  test.each([
    ['what people know by a letter', 'a\n\r\t\\{}', 'a\\n\\r\\t\\\\\\{}'],
    ['everything else that is not printable', '\0\x1b\x7f\u00e9', '\\x00\\x1b\\x7f\\xc3\\xa9'],
  ])('%s has one spelling', (_, bytes, spelled) => {
    expect(spellBytes(Buffer.from(bytes))).toBe(spelled)
  })

  test('placeholders stand between bytes and are written back', () => {
    const text = 'msg={text} \\{text} {version}\\n'

    const wire = parse(text)

    expect(wire).toEqual([
      Buffer.from('msg='),
      { placeholder: 'text' },
      Buffer.from(' {text} '),
      { placeholder: 'version' },
      Buffer.from('\n'),
    ])
    expect(spellWireText(wire)).toBe(text)
  })

  test.each([
    ['an escape that is none', 'a\\q', /expected \\n.*found "\\\\q"/],
    ['a byte in capital letters', '\\xAB', /small letters/],
    ['half a byte', '\\xa', /\\xHH/],
    ['a placeholder nobody knows', '{name}', /\{name\} is not known/],
    ['a brace that nothing closes', 'a{text', /expected a placeholder/],
    ['two placeholders that touch', '{sid}{text}', /expected bytes between two placeholders/],
    ['a letter that is not ASCII', 'caf\u00e9', /printable ASCII/],
    ['a tab', 'a\tb', /printable ASCII/],
    ['a placeholder with a control character', '{te\tt}', /expected a placeholder, found "\{te\\t"/],
  ])('%s is refused', (_, text, problem) => {
    expect(() => parse(text)).toThrow(problem)
  })
})

describe('an expected line', () => {
  const matches = (expected: string, found: string, password?: string): boolean =>
    new LineMatcher({ password }).matches(parse(expected), Buffer.from(found))

  test.each([
    ['the same bytes', 'a.b*c\\n', 'a.b*c\n', true],
    ['characters that mean something in a pattern are bytes', 'a.c\\n', 'abc\n', false],
    ['one byte more', 'READY\\n', 'READY\n\n', false],
    ['one byte less', 'READY\\n', 'READY', false],
    ['text may be anything', 'msg={text}\\n', 'msg=what = ever {}\n', true],
    ['text may be empty', 'msg={text}\\n', 'msg=\n', true],
    ['text ends with the line', 'msg={text}', 'msg=a\nb', false],
    ['a version is numbers with dots', 'v {version},\\n', 'v 10.11.19-MariaDB,\n', true],
    ['a version is not one number', 'v {version},\\n', 'v 10,\n', false],
    ['a version is not a word', 'v {version},\\n', 'v new,\n', false],
    ['a sid is at least one byte', 'sid={sid}\\n', 'sid=\n', false],
    ['bytes that are no UTF-8 are bytes', '\\xff{text}\\n', '\u00ff\n', false],
  ])('%s', (_, expected, found, same) => {
    expect(matches(expected, found)).toBe(same)
  })

  test('a password stands for itself and nothing else', () => {
    expect(matches('p={password}\\n', 'p=a.b\u00e9\n', 'a.b\u00e9')).toBe(true)
    expect(matches('p={password}\\n', 'p=axb\u00e9\n', 'a.b\u00e9')).toBe(false)
  })

  test('a sid is the same wherever it stands, once it was seen', () => {
    const matcher = new LineMatcher()

    const first = matcher.matches(parse('sid={sid}\\n'), Buffer.from('sid=a+1\n'))
    const other = matcher.matches(parse('again {sid}\\n'), Buffer.from('again a+2\n'))
    const same = matcher.matches(parse('again {sid}\\n'), Buffer.from('again a+1\n'))

    expect([first, other, same]).toEqual([true, false, true])
    expect(matcher.sid).toBe('a+1')
  })
})
