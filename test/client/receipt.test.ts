import { expect, test } from '@jest/globals'
import fc from 'fast-check'

import { parseReceipt, type Receipt, writeReceiptText } from '../../lib/client/receipt.ts'
import { BackupError } from '../../lib/errors/index.ts'

const RECEIPT: Receipt = {
  receipt: 1,
  status: 'COMPLETE',
  proof: 'agent-verdict',
  sid: 'nightly',
  agent: 'kv-backup-agent/0.1.0',
  protocol: '0.77.0',
  format: 'tar',
  encoding: 'framed',
  bytes: 3072,
  sha256: 'a'.repeat(64),
  entries: 3,
  files: 2,
  engine: 'mariadb-backup',
  engineVersion: '10.11.19',
  coordinates: { binlogFile: 'bin.000007', binlogPosition: 2858, gtid: '0-1-16' },
  lsn: { from: '0', to: '18446744073709551615', last: '18446744073709551615' },
  paddedFiles: 1,
  paddedBytes: 16384,
  finishedAt: '2026-02-03T04:05:06.789Z',
  seconds: 12.345,
}

test('is read back as it was written', () => {
  expect(parseReceipt(writeReceiptText(RECEIPT), 'f')).toEqual(RECEIPT)
})

test('is read back without what was not known', () => {
  const bare: Receipt = {
    ...RECEIPT,
    proof: 'archive',
    encoding: 'uuencode',
    sid: undefined,
    agent: undefined,
    engineVersion: undefined,
    coordinates: {},
    lsn: {},
    paddedFiles: undefined,
    paddedBytes: undefined,
  }

  expect(parseReceipt(writeReceiptText(bare), 'f')).toEqual(bare)
})

test('may say more than this version knows', () => {
  const later = { ...RECEIPT, colour: 'blue', lsn: { ...RECEIPT.lsn, medium: '7' } }

  expect(parseReceipt(JSON.stringify(later), 'f')).toMatchObject({ ...RECEIPT })
})

test.each<[string, string]>([
  ['nothing', ''],
  ['half of it', writeReceiptText(RECEIPT).slice(0, -20)],
  ['text', 'whole, I promise'],
  ['null', 'null'],
  ['a list', '[]'],
  ['a number', '1'],
  ['an empty object', '{}'],
])('is not %s', (_, text) => {
  expect(() => parseReceipt(text, 'db1.tar.receipt')).toThrow(
    expect.objectContaining({ code: 'CLIENT_RECEIPT', hint: expect.stringContaining('move it away') }),
  )
})

test.each<[keyof Receipt, unknown[]]>([
  ['receipt', [2, '1', undefined, true]],
  ['status', ['FAILED', undefined, null]],
  ['proof', ['none', undefined, null, 1]],
  ['sid', [7, null, {}]],
  ['agent', [7, null]],
  ['protocol', [0.77, undefined]],
  ['format', ['zip', undefined]],
  ['encoding', ['gzip', undefined, '']],
  ['bytes', [-1, 1.5, '3072', undefined, null, 2 ** 53]],
  ['sha256', ['a'.repeat(63), 'A'.repeat(64), `${'a'.repeat(64)}\n`, 7, undefined, null]],
  ['entries', [-1, '3', undefined]],
  ['files', [-1, '2', undefined]],
  ['engine', [7, undefined]],
  ['engineVersion', [10.11, null]],
  ['coordinates', [undefined, null, 'bin.1', [], { binlogFile: 7 }, { binlogPosition: '4' }, { gtid: 1 }]],
  ['lsn', [undefined, null, [], { from: 0 }, { to: 'x' }, { last: '-1' }, { to: '1'.repeat(21) }]],
  ['paddedFiles', ['1', -1]],
  ['paddedBytes', ['1', -1]],
  ['finishedAt', [undefined, 'yesterday', 7]],
  ['seconds', [undefined, -1, '12', null]],
])('has the right kind of %s', (key, values) => {
  for (const value of values) {
    const text = JSON.stringify({ ...RECEIPT, [key]: value })

    expect(() => parseReceipt(text, 'f')).toThrow(
      expect.objectContaining({ code: 'CLIENT_RECEIPT', message: expect.stringContaining(key), exitStatus: 5 }),
    )
  }
})

test('is refused in words that can be shown, whatever it holds', () => {
  const nested = JSON.stringify({ ...RECEIPT, bytes: 0 }).replace(
    '"bytes":0',
    `"bytes":${'['.repeat(1e5)}${']'.repeat(1e5)}`,
  )
  const coloured = JSON.stringify({ ...RECEIPT, status: 'COMPLETE\u009b31m' })

  expect(() => parseReceipt(nested, 'f')).toThrow('it says a list as its bytes')
  expect(() => parseReceipt(coloured, 'f')).toThrow('it says "COMPLETE\\xc2\\x9b31m" as its status')
})

test('whatever stands in the file, is a receipt or refused as none', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), changed()), (text) => {
      try {
        parseReceipt(text, 'f')
      } catch (error) {
        if (!(error instanceof BackupError) || error.code !== 'CLIENT_RECEIPT') throw error
      }
    }),
    { numRuns: 500 },
  )
})

/** A receipt with one field of any kind. */
const changed = (): fc.Arbitrary<string> =>
  fc
    .tuple(fc.constantFrom(...Object.keys(RECEIPT)), fc.jsonValue())
    .map(([key, value]) => JSON.stringify({ ...RECEIPT, [key]: value }))
