import { expect, test } from '@jest/globals'

import { AnswerReader, LIMITS, readStatus, writeReady, writeStatus } from '../../lib/protocol/index.ts'
import { refusalOf } from './cuts.ts'

test('READY is one word and a line feed', () => {
  expect(writeReady().toString()).toBe('READY\n')
})

test('a status block holds status, msg, sid and then the others, in this order', () => {
  const block = writeStatus({ status: 'SENDING', msg: 'go', sid: '/srv/x' }, [
    ['engine', 'mariadb-backup'],
    ['a', ''],
  ])

  expect(block.toString()).toBe('5\nstatus=SENDING\nmsg=go\nsid=/srv/x\nengine=mariadb-backup\na=\n\n')
})

test('a status block without a sid has no line for it', () => {
  expect(writeStatus({ status: 'OK', msg: '' }).toString()).toBe('2\nstatus=OK\nmsg=\n\n')
})

test.each([
  ['a line break as a backslash and an n', 'one\ntwo', 'one\\ntwo'],
  ['CR and TAB likewise', 'a\r\n\tb', 'a\\r\\n\\tb'],
  ['other control characters by their number', 'a\0\u001b[31m\u007f\u009b', 'a\\x00\\x1b[31m\\x7f\\x9b'],
  ['a backslash as it is', 'C:\\new', 'C:\\new'],
  ['half a surrogate pair as a replacement character', 'a\ud83db', 'a\ufffdb'],
  ['text as it is', 'déjà = "vu" \u{1f4be}', 'déjà = "vu" \u{1f4be}'],
])('msg carries %s', (_, msg, wire) => {
  expect(writeStatus({ status: 'FAILED', msg }).toString()).toBe(`2\nstatus=FAILED\nmsg=${wire}\n\n`)
})

test.each([
  ['ASCII', 'x'.repeat(100_000)],
  ['three bytes a character', '€'.repeat(100_000)],
  ['four bytes a character', '\u{1f4be}'.repeat(100_000)],
  ['control characters, which grow', '\u0000'.repeat(100_000)],
])('a msg of any length becomes one that can be read: %s', (_, msg) => {
  const wire = writeStatus({ status: 'FAILED', msg })

  const read = readStatus(new AnswerReader().push(wire)?.block ?? new Map())
  expect(Buffer.byteLength(read.msg)).toBeLessThanOrEqual(LIMITS.maxMessageBytes)
  expect(Buffer.byteLength(read.msg)).toBeGreaterThan(LIMITS.maxMessageBytes - 8)
  expect(read.msg.endsWith('…')).toBe(true)
  expect(read.msg).not.toContain('\ufffd')
})

test('a msg of the limit is not cut', () => {
  const msg = `${'x'.repeat(LIMITS.maxMessageBytes - 2)}é`

  expect(writeStatus({ status: 'OK', msg }).toString()).toContain(`msg=${msg}\n`)
})

test('control characters in sid and in other pairs are escaped as those of msg', () => {
  const block = writeStatus({ status: 'OK', msg: '', sid: 'a\nb' }, [['Last_Error', 'line 1\n\tline 2']])

  expect(block.toString()).toContain('\nsid=a\\nb\nLast_Error=line 1\\n\\tline 2\n')
})

test('a pair that would stand twice is refused', () => {
  expect(refusalOf(() => writeStatus({ status: 'OK', msg: '' }, [['msg', 'x']])).code).toBe('PROTOCOL_KEY_DUPLICATE')
})
