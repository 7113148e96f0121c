import { describe, expect, test } from '@jest/globals'

import { BackupError } from '../../lib/errors/index.ts'
import { findBase, type RememberedJob } from '../../lib/jobs/index.ts'

const HERE: Parameters<typeof findBase>[2] = {
  engine: 'mariadb-backup',
  server: { uuid: 'server-1', data: 'ibdata1-7-1', lsn: '9000' },
}

const job = (sid: string, more: Partial<RememberedJob> = {}): RememberedJob => ({
  job: `job-of-${sid}`,
  sid,
  peer: '192.0.2.7:51234',
  engine: 'mariadb-backup',
  server: { uuid: 'server-1', data: 'ibdata1-7-1' },
  requested: { 'backup-level': 0 },
  state: 'delivered',
  startedAt: '2024-03-11T01:00:00.000Z',
  endedAt: '2024-03-11T01:01:56.000Z',
  lsn: { from: '4000', to: '5100', checkpoint: '5000' },
  sha256: 'a'.repeat(64),
  process: { pid: 4711 },
  ...more,
})

const find = (baseSid: string | undefined, lsn: string | undefined, jobs: RememberedJob[], here = HERE) =>
  findBase({ baseSid, lsn }, jobs, here)

const refusal = (act: () => unknown): BackupError => {
  try {
    act()
  } catch (error) {
    if (error instanceof BackupError) return error
  }
  throw new Error('expected a refusal')
}

describe('the base of an incremental backup', () => {
  const KNOWN = { sid: 'full', job: 'job-of-full', sha256: 'a'.repeat(64) }

  test('is the newest backup of a session, from where it ended', () => {
    const older = job('full', { job: 'older', lsn: { checkpoint: '3000' } })

    expect(find('full', undefined, [older, job('full'), job('other')])).toEqual({ lsn: '5000', known: KNOWN })
  })

  test('is the backup of that session that ended where the client says, though there are newer ones', () => {
    const newer = job('full', { job: 'newer', lsn: { checkpoint: '7000' } })
    const failed = job('full', { job: 'failed', state: 'failed', lsn: undefined })

    expect(find('full', '5000', [job('full'), newer, failed])).toEqual({ lsn: '5000', known: KNOWN })
  })

  test('is made with the same options, which may leave tables out', () => {
    const partial = job('full', { requested: { 'backup-level': 0, options: 'shop-only' } })

    expect(find('full', undefined, [partial], { ...HERE, options: 'shop-only' }).lsn).toBe('5000')
    expect(refusal(() => find('full', undefined, [partial]))).toMatchObject({
      code: 'JOB_BASE_FOREIGN',
      message: expect.stringContaining(
        'was made with the options shop-only, and this request asks for no set of options',
      ),
    })
    expect(refusal(() => find('full', undefined, [job('full')], { ...HERE, options: 'all' })).code).toBe(
      'JOB_BASE_FOREIGN',
    )
  })

  test('may be an increment itself', () => {
    const increment = job('full', { requested: { 'backup-level': 1, 'incremental-lsn': '3000' } })

    expect(find('full', undefined, [increment])).toEqual({ lsn: '5000', known: KNOWN })
  })

  test("is at the client's word where it names a number alone", () => {
    expect(find(undefined, '4242', [job('full')])).toEqual({ lsn: '4242' })
  })

  test.each([
    ['the record has no server', { server: undefined }, HERE],
    ['the record has one name, this server the other', { server: { uuid: 'server-1' } }, { server: { data: 'x' } }],
    ['nothing is known of this server', {}, { server: {} }],
  ])('is believed to be of this server when nothing says otherwise: %s', (_, more, here) => {
    expect(find('full', undefined, [job('full', more)], { ...HERE, ...here })).toMatchObject({ lsn: '5000' })
  })

  test('may end where the server is', () => {
    expect(find('full', undefined, [job('full', { lsn: { checkpoint: '9000' } })])).toMatchObject({ lsn: '9000' })
  })

  test.each([
    ['a session nobody knows', 'nobody', undefined, {}, 'JOB_BASE_UNKNOWN', /session "nobody"/, /full backup/],
    ['one that failed', 'full', undefined, { state: 'failed' }, 'JOB_BASE_UNVERIFIED', /has failed/, /full backup/],
    ['one that was cancelled', 'full', undefined, { state: 'cancelled' }, 'JOB_BASE_UNVERIFIED', /cancelled/, /full/],
    ['one cut off', 'full', undefined, { state: 'interrupted' }, 'JOB_BASE_UNVERIFIED', /interrupted/, /full/],
    ['one that runs', 'full', undefined, { state: 'running' }, 'JOB_BASE_UNVERIFIED', /still running/, /ask again/],
    [
      'one that nobody has confirmed',
      'full',
      undefined,
      { state: 'sent-unconfirmed' },
      'JOB_BASE_UNVERIFIED',
      /has not confirmed that it arrived/,
      /framed stream.*incremental-lsn alone/,
    ],
    [
      'one without a number',
      'full',
      undefined,
      { lsn: {} },
      'JOB_BASE_LSN',
      /does not say at which LSN/,
      /full backup/,
    ],
    ['one that ended elsewhere', 'full', '4999', {}, 'JOB_BASE_LSN', /ends at LSN 5000, and.* says 4999/, /used again/],
    [
      'one ahead of the server',
      'full',
      undefined,
      { lsn: { checkpoint: '9001' } },
      'JOB_BASE_LSN',
      /ends at LSN 9001, and this server has come to 9000 only/,
      /restored from an older backup/,
    ],
    [
      "a number ahead of the server, at the client's word",
      undefined,
      '18446744073709551615',
      {},
      'JOB_BASE_LSN',
      /18446744073709551615/,
      /full backup/,
    ],
    [
      'one of another server',
      'full',
      undefined,
      { server: { uuid: 'server-2', data: 'ibdata1-7-1' } },
      'JOB_BASE_FOREIGN',
      /server-2, the other server-1/,
      /full backup/,
    ],
    [
      'one of a data directory that was made anew since',
      'full',
      undefined,
      { server: { uuid: 'server-1', data: 'ibdata1-7-0' } },
      'JOB_BASE_FOREIGN',
      /ibdata1-7-0, the other has ibdata1-7-1/,
      /full backup/,
    ],
    [
      'one by another program',
      'full',
      undefined,
      { engine: 'xtrabackup' },
      'JOB_BASE_FOREIGN',
      /made by xtrabackup, and this agent runs mariadb-backup/,
      /full backup/,
    ],
  ] as const)('is refused: %s', (_, baseSid, lsn, more, code, message, hint) => {
    const refused = refusal(() => find(baseSid, lsn, [job('full', more)]))

    expect(refused).toMatchObject({ code, exitStatus: 3 })
    expect(refused.message).toMatch(message)
    expect(refused.hint).toMatch(hint)
  })
})
