import { describe, expect, test } from '@jest/globals'

import { parsePaxRecords } from '../../lib/archive/pax-records.ts'
import { paxRecord } from './tar-forge.ts'

const parse = (text: string) => parsePaxRecords(Buffer.from(text), 0)

describe('the records of a pax header', () => {
  test('are read with lengths in bytes, not characters', () => {
    expect(parse(`${paxRecord('path', 'größe=1\nb')}${paxRecord('mtime', '1.5')}`)).toEqual({
      path: 'größe=1\nb',
      mtimeMs: 1500,
    })
  })

  test('are skipped when their key is none of ours', () => {
    expect(parse(`${paxRecord('SCHILY.xattr.user', 'a\0b')}${paxRecord('uid', '7')}`)).toEqual({})
  })

  test('may be none', () => {
    expect(parse('')).toEqual({})
  })

  test.each([
    ['a size', paxRecord('size', '9007199254740991'), { sizeBytes: Number.MAX_SAFE_INTEGER }],
    ['a time before 1970', paxRecord('mtime', '-1.25'), { mtimeMs: -1250 }],
    ['a link', paxRecord('linkpath', 'a/b'), { linkPath: 'a/b' }],
    ['an empty comment', paxRecord('comment', ''), { comment: '' }],
  ])('give %s', (_, text, records) => {
    expect(parse(text)).toEqual(records)
  })

  test.each([
    ['a length that is no number', 'x path=a\n', 'ARCHIVE_CORRUPT'],
    ['a length that begins with a zero', '010 path=a\n', 'ARCHIVE_CORRUPT'],
    ['a length over the end', '11 path=a\n', 'ARCHIVE_CORRUPT'],
    ['a length too short', '8 path=a\n', 'ARCHIVE_CORRUPT'],
    ['a length shorter than itself', '1 path=a\n', 'ARCHIVE_CORRUPT'],
    ['a length of many digits', `${'1'.repeat(400)} path=a\n`, 'ARCHIVE_CORRUPT'],
    ['no length', ' path=a\n', 'ARCHIVE_CORRUPT'],
    ['no equals sign', '7 path\n', 'ARCHIVE_CORRUPT'],
    ['no key', '5 =a\n', 'ARCHIVE_CORRUPT'],
    ['zeros behind the last record', `${paxRecord('path', 'a')}\0\0`, 'ARCHIVE_CORRUPT'],
    ['a key twice', paxRecord('path', 'a') + paxRecord('path', 'b'), 'ARCHIVE_CORRUPT'],
    ['an empty path', paxRecord('path', ''), 'ARCHIVE_CORRUPT'],
    ['an empty link', paxRecord('linkpath', ''), 'ARCHIVE_CORRUPT'],
    ['a size that is no number', paxRecord('size', '1e3'), 'ARCHIVE_CORRUPT'],
    ['a size below zero', paxRecord('size', '-1'), 'ARCHIVE_CORRUPT'],
    ['a size of 2^53', paxRecord('size', '9007199254740992'), 'ARCHIVE_LIMIT'],
    ['a time that is no number', paxRecord('mtime', 'now'), 'ARCHIVE_CORRUPT'],
    ['a sparse file', paxRecord('GNU.sparse.realsize', '5'), 'ARCHIVE_MEMBER_REFUSED'],
  ])('are refused with %s', (_, text, code) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code }))
  })
})
