import { expect, test } from '@jest/globals'

import { closedLogs } from '../../lib/server/index.ts'

const logs = (...numbers: number[]) => numbers.map((n) => ({ name: `bin.${String(n).padStart(6, '0')}`, sizeBytes: n }))
const names = (from?: string, list = logs(4, 5, 6, 7)) => closedLogs(list, from).map(({ sizeBytes }) => sizeBytes)

test.each([
  ['the first there is, when none is named', undefined, [4, 5, 6]],
  ['the named one', 'bin.000005', [5, 6]],
  ['the last closed one', 'bin.000006', [6]],
  ['the one being written: nothing', 'bin.000007', []],
])('from %s', (_, from, expected) => {
  expect(names(from)).toEqual(expected)
})

test('is nothing while the server writes its first one', () => {
  expect(names(undefined, logs(1))).toEqual([])
  expect(names(undefined, [])).toEqual([])
})

test.each(['bin.000003', 'bin.000008', 'other.000005'])(
  'of %s, which is not there, names the oldest that is',
  (from) => {
    expect(() => names(from)).toThrow(expect.objectContaining({ code: 'SERVER_BINLOG_GONE' }))
    expect(() => names(from)).toThrow(/oldest one there is bin\.000004/)
  },
)
