import { describe, expect, test } from '@jest/globals'

import { LIMITS, parseBlock } from '../../lib/protocol/index.ts'
import {
  count,
  fitting,
  MAX_COUNT,
  optionalCount,
  optionalLsn,
  optionalPercent,
  pairsOf,
  present,
  required,
  sha256,
} from '../../lib/protocol/block-fields.ts'
import { asMap } from './as-map.ts'
import { refusalOf } from './cuts.ts'

const DIGEST = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
const block = (value: string): ReadonlyMap<string, string> => new Map([['k', value]])

describe('a payload', () => {
  test('of one block is that block', () => {
    expect(asMap(parseBlock(Buffer.from('2\na=1\nb=\n\n')))).toEqual(
      new Map([
        ['a', '1'],
        ['b', ''],
      ]),
    )
  })

  test.each([
    ['nothing', '', 'PROTOCOL_TRUNCATED', 'found nothing'],
    ['half a block', '1\na=1\n', 'PROTOCOL_TRUNCATED', 'an empty line after 1 pairs'],
    ['a count alone', '1', 'PROTOCOL_TRUNCATED', 'a count of pairs'],
    ['a block and a byte', '0\n\n\n', 'PROTOCOL_TRAILING_BYTES', 'found 1 bytes behind it'],
    ['two blocks', '0\n\n1\na=1\n\n', 'PROTOCOL_TRAILING_BYTES', 'found 7 bytes behind it'],
    ['no block', 'READY\n', 'PROTOCOL_COUNT_INVALID', 'found "READY"'],
    ['a pair without "="', '1\na\n\n', 'PROTOCOL_PAIR_INVALID', '(line 2)'],
    ['a key twice', '2\na=1\na=1\n\n', 'PROTOCOL_KEY_DUPLICATE', '(line 3)'],
    ['a control byte', '1\na=\x1b[2J\n\n', 'PROTOCOL_CONTROL_BYTE', '(line 2)'],
    ['lines with CR LF', '1\r\na=1\r\n\r\n', 'PROTOCOL_COUNT_INVALID', '(line 1)'],
  ])('of %s is refused', (_, bytes, code, words) => {
    const refusal = refusalOf(() => parseBlock(Buffer.from(bytes)))

    expect(refusal.code).toBe(code)
    expect(refusal.message).toContain(words)
  })
})

describe('a number', () => {
  test.each([
    ['0', 0],
    ['7', 7],
    ['999999999999999', MAX_COUNT],
  ])('%s is read', (text, number) => {
    expect([count(block(text), 'k'), optionalCount(block(text), 'k')]).toEqual([number, number])
  })

  test.each(['', ' 1', '1 ', '01', '+1', '-1', '1.0', '1e3', '0x10', '1000000000000000', '\u0661', 'NaN'])(
    '%j is refused, with its key',
    (text) => {
      for (const read of [count, optionalCount]) {
        const refusal = refusalOf(() => read(block(text), 'k'))

        expect(refusal.code).toBe('PROTOCOL_VALUE_INVALID')
        expect(refusal.message).toMatch(/^expected a number in plain digits as the value of k, found "/)
        expect(refusal.facts).toEqual({ key: 'k' })
      }
    },
  )

  test('of percent is read from 0 to 100', () => {
    for (let percent = 0; percent <= 100; percent += 1) expect(optionalPercent(block(`${percent}`), 'k')).toBe(percent)
    for (const text of ['101', '-1', '1%', '007', '', '50.5']) {
      expect(refusalOf(() => optionalPercent(block(text), 'k')).code).toBe('PROTOCOL_VALUE_INVALID')
    }
  })

  test('of the redo log is read as text: it passes what numbers can hold', () => {
    expect(optionalLsn(block('18446744073709551615'), 'k')).toBe('18446744073709551615')
    for (const text of ['', '1'.repeat(21), '-1', '1,2', '0x1']) {
      expect(refusalOf(() => optionalLsn(block(text), 'k')).code).toBe('PROTOCOL_VALUE_INVALID')
    }
  })
})

test('a digest is 64 hexadecimal digits in small letters', () => {
  expect(sha256(block(DIGEST), 'k')).toBe(DIGEST)
  for (const text of ['', DIGEST.toUpperCase(), DIGEST.slice(1), `${DIGEST}0`, `${DIGEST.slice(1)}g`]) {
    expect(refusalOf(() => sha256(block(text), 'k')).code).toBe('PROTOCOL_VALUE_INVALID')
  }
})

test.each<[string, (pairs: ReadonlyMap<string, string>, key: string) => unknown]>([
  ['a text', required],
  ['a number', count],
  ['a digest', sha256],
])('%s that has to be there and is not is refused by the name of its key', (_, read) => {
  const refusal = refusalOf(() => read(block('1'), 'other'))

  expect([refusal.code, refusal.facts]).toEqual(['PROTOCOL_KEY_MISSING', { key: 'other' }])
})

test('what may be missing is just not there', () => {
  expect([optionalCount, optionalPercent, optionalLsn].map((read) => read(block('1'), 'other'))).toEqual([
    undefined,
    undefined,
    undefined,
  ])
})

test('a refusal shows a value escaped and cut', () => {
  const { message } = refusalOf(() => count(block(`\u2028"${'x'.repeat(5000)}`), 'k'))

  expect(message).toContain('found "\\xe2\\x80\\xa8\\"xxx')
  expect(message.length).toBeLessThan(200)
})

describe('what is written', () => {
  test('are the values that are there, numbers in digits', () => {
    expect(pairsOf({ a: 'x', b: undefined, c: 0, d: '', e: MAX_COUNT, f: -0 })).toEqual([
      ['a', 'x'],
      ['c', '0'],
      ['d', ''],
      ['e', '999999999999999'],
      ['f', '0'],
    ])
  })

  test.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, MAX_COUNT + 1, 1e21])(
    'is never the number %d, which no reader takes',
    (number) => {
      expect(() => pairsOf({ bytes: number })).toThrow(`bug: bytes cannot be ${number}`)
    },
  )

  test('is free text that fits, whatever it holds', () => {
    expect(fitting('a\r\n\t\0b')).toBe('a\\r\\n\\t\\x00b')
    expect(fitting('\ud83d')).toBe('\ufffd')
    expect(Buffer.byteLength(fitting('\0'.repeat(LIMITS.maxMessageBytes)))).toBeLessThanOrEqual(LIMITS.maxMessageBytes)
    expect(fitting('x'.repeat(LIMITS.maxMessageBytes))).toHaveLength(LIMITS.maxMessageBytes)
  })

  test('has no key for what is undefined', () => {
    expect(Object.keys(present({ a: undefined, b: 0, c: '' }))).toEqual(['b', 'c'])
  })
})
