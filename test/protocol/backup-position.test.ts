import { describe, expect, test } from '@jest/globals'

import { type BackupPosition, positionPairs, readPosition, writeKvBlock } from '../../lib/protocol/index.ts'
import { refusalOf } from './cuts.ts'

const WHOLE: BackupPosition = {
  coordinates: { binlogFile: 'bin.000007', binlogPosition: 2858, gtid: '0-1-16' },
  lsn: { from: '44404', to: '18446744073709551615', checkpoint: '44404' },
}

const write = (coordinates: BackupPosition['coordinates'], lsn: BackupPosition['lsn'] = {}) =>
  positionPairs({ coordinates, lsn })

test('is written in this order and read back the same', () => {
  const pairs = positionPairs(WHOLE)

  expect(pairs.map(([key]) => key)).toEqual([
    'binlog-file',
    'binlog-position',
    'gtid',
    'lsn-from',
    'lsn-to',
    'lsn-checkpoint',
  ])
  expect(readPosition(new Map(pairs))).toEqual(WHOLE)
})

test('of a server without a binary log and without a redo log is nothing at all', () => {
  expect(write({})).toEqual([])
  expect(readPosition(new Map())).toEqual({ coordinates: {}, lsn: {} })
})

test('is what is known, each for itself', () => {
  expect(write({ binlogFile: 'b', gtid: undefined }, { to: '7' })).toEqual([
    ['binlog-file', 'b'],
    ['lsn-to', '7'],
  ])
  expect(Object.keys(readPosition(new Map([['gtid', '']])).coordinates)).toEqual(['gtid'])
})

describe('a backup is not spoilt by words that do not fit: left out is', () => {
  const set = (bytes: number): string => '3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5,'.repeat(120).slice(0, bytes)

  test.each<[string, BackupPosition['coordinates'], BackupPosition['lsn'], string[]]>([
    ['a set of GTIDs that outgrows a line', { binlogFile: 'b', gtid: set(4097) }, {}, ['binlog-file']],
    ['a set in characters of two bytes', { gtid: 'é'.repeat(2049) }, {}, []],
    ['a set over several lines', { gtid: '0-1-16,\n1-1-1' }, {}, []],
    ['half a surrogate pair', { gtid: '\ud83d' }, {}, []],
    ['a file with a control character', { binlogFile: 'bin\u001b[2J', binlogPosition: 4 }, {}, ['binlog-position']],
    ['a file with an endless name', { binlogFile: 'b'.repeat(4097) }, {}, []],
    ['a position that is no whole number', { binlogPosition: 1.5 }, {}, []],
    ['a position below nothing', { binlogPosition: -1 }, {}, []],
    ['a position that is none', { binlogPosition: Number.NaN }, {}, []],
    ['a position that is not exact', { binlogPosition: 2 ** 60 }, {}, []],
    ['an LSN with a space', {}, { from: ' 1', to: '2' }, ['lsn-to']],
    ['an LSN that is empty', {}, { from: '' }, []],
    ['an LSN of 21 digits', {}, { checkpoint: '1'.repeat(21) }, []],
  ])('%s', (_, coordinates, lsn, keys) => {
    const pairs = write(coordinates, lsn)

    expect(pairs.map(([key]) => key)).toEqual(keys)
    expect(() => readPosition(new Map(pairs))).not.toThrow()
    expect(() => writeKvBlock(pairs)).not.toThrow()
  })

  test('and a set of GTIDs of the limit is there', () => {
    expect(write({ gtid: set(4096) })).toEqual([['gtid', set(4096)]])
  })
})

test.each([
  ['binlog-position', '4 ', 'plain digits'],
  ['binlog-position', '', 'plain digits'],
  ['lsn-from', 'x', 'up to 20 digits'],
  ['lsn-to', '-1', 'up to 20 digits'],
  ['lsn-checkpoint', '1'.repeat(21), 'up to 20 digits'],
])('a %s of %j is refused', (key, value, words) => {
  const refusal = refusalOf(() => readPosition(new Map([[key, value]])))

  expect([refusal.code, refusal.facts]).toEqual(['PROTOCOL_VALUE_INVALID', { key }])
  expect(refusal.message).toContain(words)
})
