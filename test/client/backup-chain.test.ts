import { describe, expect, test } from '@jest/globals'

import { type ChainLink, checkBase, checkChain } from '../../lib/client/backup-chain.ts'
import { BackupError } from '../../lib/errors/index.ts'

const link = (path: string, from: string, to: string, more: Partial<ChainLink> = {}): ChainLink => ({
  path,
  engine: 'mariadb-backup',
  backupType: from === '0' ? 'full-backuped' : 'incremental',
  lsn: { from, to, last: to },
  sha256: `digest of ${path}`,
  ...more,
})

const FULL = link('full.tar', '0', '1000')
const FIRST = link('first.tar', '1000', '2000')
const SECOND = link('second.tar', '2000', '3000')
const THIRD = link('third.tar', '3000', '18446744073709551615')

const refusal = (links: readonly ChainLink[]): BackupError => {
  try {
    checkChain(links)
  } catch (error) {
    if (error instanceof BackupError) return error
  }
  throw new Error('expected a refusal')
}

describe('a chain', () => {
  test.each([
    ['a full backup alone', [FULL]],
    ['a full backup and its increments', [FULL, FIRST, SECOND, THIRD]],
    ['an increment in which nothing has changed', [FULL, link('same.tar', '1000', '1000'), FIRST]],
    ['an increment that leaves out one with the same numbers', [FULL, link('later.tar', '1000', '1000'), FIRST]],
    ['a full backup that does not say what it is', [{ ...FULL, backupType: undefined }, FIRST]],
    [
      'servers of which one has no name',
      [
        { ...FULL, server: { uuid: 'one' } },
        { ...FIRST, server: { data: 'x' } },
      ],
    ],
    [
      'a base that was packed anew, of the same server',
      [
        { ...FULL, server: { data: 'x' } },
        { ...FIRST, server: { data: 'x' }, base: { lsn: '1000', sha256: 'another digest' } },
      ],
    ],
  ])('is %s', (_, links) => {
    expect(() => checkChain(links)).not.toThrow()
  })

  test.each([
    [
      'a missing link',
      [FULL, SECOND],
      /second\.tar begins at LSN 2000, and full\.tar before it ends at 1000/,
      /begins at LSN 1000 is missing/,
    ],
    [
      'a missing link further on',
      [FULL, FIRST, THIRD],
      /third\.tar begins at LSN 3000, and first\.tar .* at 2000/,
      /LSN 2000 is missing/,
    ],
    [
      'a wrong order',
      [FULL, SECOND, FIRST],
      /second\.tar begins at LSN 2000, and full\.tar .* at 1000/,
      /belongs behind first\.tar/,
    ],
    ['a link twice', [FULL, FIRST, FIRST], /first\.tar stands twice in the chain: LSN 1000 to 2000/, /once/],
    [
      'a link twice, under two names',
      [FULL, FIRST, { ...FIRST, path: 'copy.tar' }],
      /copy\.tar stands twice.*as first\.tar/,
      /once/,
    ],
    [
      'a link of another chain',
      [FULL, link('other.tar', '1001', '2000')],
      /at LSN 1001, and full\.tar .* at 1000/,
      /another chain/,
    ],
    [
      'numbers that differ in more digits',
      [FULL, link('other.tar', '10000', '20000')],
      /LSN 10000, .* at 1000$/,
      /missing/,
    ],
    ['an increment first', [FIRST, SECOND], /first\.tar is an increment since LSN 1000/, /ends at LSN 1000 before it/],
    [
      'two full backups',
      [FULL, link('sunday.tar', '0', '9000')],
      /sunday\.tar to be an increment, .* full-backuped/,
      /comes first/,
    ],
    ['a link that says nothing', [FULL, { ...FIRST, backupType: undefined }], /calls itself nothing/, /comes first/],
    ['a link without numbers', [FULL, { ...FIRST, lsn: {} }], /begins at LSN \?, .* ends at 1000/, /missing/],
    ['a base without numbers', [{ ...FULL, lsn: {} }, FIRST], /begins at LSN 1000, .* ends at \?/, /missing/],
    [
      'another program',
      [FULL, { ...FIRST, engine: 'xtrabackup' }],
      /by xtrabackup, and full\.tar .* mariadb-backup/,
      /one program/,
    ],
    [
      'a base that no program prepares',
      [{ ...FULL, engine: 'directory' }, FIRST],
      /by directory: no increment/,
      /mariadb-backup/,
    ],
    [
      'a base that was prepared',
      [{ ...FULL, backupType: 'full-prepared' }, FIRST],
      /had been prepared/,
      /as it was fetched/,
    ],
    [
      'a wrong order with the same numbers',
      [
        FULL,
        link('b.tar', '1000', '1000', { lsn: { from: '1000', to: '1000', last: '1200' } }),
        link('a.tar', '1000', '1000', { lsn: { from: '1000', to: '1000', last: '1100' } }),
      ],
      /a\.tar shows the server at LSN 1100, and b\.tar before it .* later, at 1200/,
      /belongs before b\.tar/,
    ],
    [
      'two servers',
      [
        { ...FULL, server: { uuid: 'one' } },
        { ...FIRST, server: { uuid: 'two' } },
      ],
      /two servers, .* one and two/,
      /by chance/,
    ],
    [
      'two data directories',
      [
        { ...FULL, server: { uuid: 'one', data: 'x' } },
        { ...FIRST, server: { uuid: 'one', data: 'y' } },
      ],
      /x and y/,
      /by chance/,
    ],
    [
      'a base with another digest, of nobody knows which server',
      [FULL, { ...FIRST, base: { lsn: '1000', sha256: 'other' } }],
      /upon an archive with the digest other/,
      /by chance/,
    ],
  ] as const)('is refused with %s', (_, links, message, hint) => {
    const refused = refusal(links)

    expect(refused).toMatchObject({ code: 'CLIENT_CHAIN', exitStatus: 5 })
    expect(refused.message).toMatch(message)
    expect(refused.hint).toMatch(hint)
  })

  test('begins with no increment, and its receipt says which session is missing', () => {
    expect(() => checkBase({ ...FIRST, base: { lsn: '1000', sid: 'sunday' } })).toThrow(
      expect.objectContaining({ code: 'CLIENT_CHAIN', hint: expect.stringContaining('the session "sunday"') }),
    )
  })
})
