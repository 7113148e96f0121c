import { describe, expect, test } from '@jest/globals'

import { KvBlockParser, LIMITS, writeKvBlock } from '../../lib/protocol/index.ts'
import { refusalOf } from './cuts.ts'

test('writes the count, the pairs in their order and the empty line', () => {
  const block = writeKvBlock([
    ['status', 'OK'],
    ['msg', ''],
    ['équipe', 'a=b "c"'],
  ])

  expect(block.toString()).toBe('3\nstatus=OK\nmsg=\néquipe=a=b "c"\n\n')
})

test('writes a block without pairs', () => {
  expect(writeKvBlock([]).toString()).toBe('0\n\n')
})

test('takes a block as it was read', () => {
  const wire = '2\na=1\nb=2\n\n'
  const { block } = new KvBlockParser().push(Buffer.from(wire)) ?? { block: new Map<string, string>() }

  expect(writeKvBlock(block).toString()).toBe(wire)
})

test('writes a line break in a value as a backslash and an n, and nothing else than that', () => {
  expect(writeKvBlock([['msg', 'one\ntwo\\n\n']]).toString()).toBe('1\nmsg=one\\ntwo\\n\\n\n\n')
})

describe('refuses to write what a reader would refuse', () => {
  const many = Array.from({ length: LIMITS.maxPairs + 1 }, (_, index) => [`k${index}`, 'v'] as const)
  const long = 'v'.repeat(LIMITS.maxLineBytes - 2)

  test.each<[string, (readonly [string, string])[], string]>([
    ['an empty key', [['', 'v']], 'PROTOCOL_PAIR_INVALID'],
    ['a key with "="', [['a=b', 'v']], 'PROTOCOL_PAIR_INVALID'],
    ['a key with a line break', [['a\nb', 'v']], 'PROTOCOL_CONTROL_BYTE'],
    ['a value with CR', [['a', 'v\r']], 'PROTOCOL_CONTROL_BYTE'],
    ['a value with NUL', [['a', 'v\0']], 'PROTOCOL_CONTROL_BYTE'],
    ['a value with TAB', [['a', 'v\tw']], 'PROTOCOL_CONTROL_BYTE'],
    ['a value with C1', [['a', '\u009b']], 'PROTOCOL_CONTROL_BYTE'],
    ['a value with half a surrogate pair', [['a', '\ud83d']], 'PROTOCOL_ENCODING_INVALID'],
    [
      'a key twice',
      [
        ['a', '1'],
        ['a', '2'],
      ],
      'PROTOCOL_KEY_DUPLICATE',
    ],
    ['a line over the limit', [['a', `${long}v`]], 'PROTOCOL_LINE_TOO_LONG'],
    ['a line over the limit in bytes, not in characters', [['a', `${long.slice(0, -1)}é`]], 'PROTOCOL_LINE_TOO_LONG'],
    ['more pairs than the limit', many, 'PROTOCOL_COUNT_TOO_LARGE'],
    ['a block over the limit', [...'abcdefgh'].map((key) => [key, long] as const), 'PROTOCOL_BLOCK_TOO_LARGE'],
  ])('%s', (_, pairs, code) => {
    expect(refusalOf(() => writeKvBlock(pairs)).code).toBe(code)
  })

  test('and takes what is just within the limits', () => {
    expect(writeKvBlock(many.slice(1)).toString()).toMatch(/^256\n/)
    expect(writeKvBlock([['a', long]])).toHaveLength(2 + LIMITS.maxLineBytes + 1 + 1)
  })

  test('naming the key, never the value', () => {
    const refusal = refusalOf(() => writeKvBlock([['password', 'hunter2\r']]))

    expect(refusal.message).toContain('"password"')
    expect(JSON.stringify([refusal.message, refusal.facts, refusal.hint])).not.toContain('hunter2')
  })
})
