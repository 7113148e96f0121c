import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'

import { RequestParser, writeRequest } from '../../lib/protocol/index.ts'
import { refusalOf } from './cuts.ts'

const EXAMPLE = readFileSync(new URL('../../../fixtures/protocol/protocol-text-example.request', import.meta.url))

test('writes the example of the protocol text byte for byte', () => {
  const wire = writeRequest('0.76.1', [
    ['action', 'copy from'],
    ['user', 'backupdb'],
    ['password', 's3cUre'],
    ['backup-level', '0'],
    ['replication', '1'],
    ['file', '/srv/backups/BackupSet/20110304005033/ZRM_LINKS/.'],
  ])

  expect(wire.toString()).toBe(EXAMPLE.toString())
})

test('a request that was written is read back the same', () => {
  const pairs = new Map([
    ['action', 'monitor'],
    ['x', 'a=b=c ;"é'],
    ['empty', ''],
  ])

  const parsed = new RequestParser().push(writeRequest('0.75.1', pairs))

  expect([...(parsed?.block ?? [])]).toEqual([...pairs])
})

test.each([
  ['a version that is none', '0.76', [['a', '1']], 'PROTOCOL_VERSION_INVALID'],
  ['a version that would be two lines', '0.76.1\n5', [['a', '1']], 'PROTOCOL_VERSION_INVALID'],
  ['a line break in a value, which would arrive as something else', '0.76.1', [['a', '1\n2']], 'PROTOCOL_CONTROL_BYTE'],
  [
    'a key twice',
    '0.76.1',
    [
      ['a', '1'],
      ['a', '1'],
    ],
    'PROTOCOL_KEY_DUPLICATE',
  ],
])('refuses %s', (_, version, pairs, code) => {
  const refusal = refusalOf(() => writeRequest(version, pairs as [string, string][]))

  expect(refusal.code).toBe(code)
})

test('a password with a line break is refused without being shown', () => {
  const refusal = refusalOf(() => writeRequest('0.76.1', [['password', 'hunter2\nplugin-dir=x']]))

  expect(refusal.message).toContain('"password"')
  expect(JSON.stringify([refusal.message, refusal.facts])).not.toContain('hunter2')
})
