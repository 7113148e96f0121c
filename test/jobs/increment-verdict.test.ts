import { describe, expect, test } from '@jest/globals'

import { incrementRange } from '../../lib/jobs/increment-verdict.ts'

const found = (from: string | undefined, to: string | undefined, backupType = 'incremental') => ({
  backupType,
  lsn: { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) },
})

describe('what was written', () => {
  test.each([
    ['5000', '7000'],
    ['5000', '5000'], // nothing has changed since
    ['18446744073709551614', '18446744073709551615'],
    ['999', '1000'], // as numbers, not as text
  ])('is the increment since %s that ends at %s', (from, to) => {
    expect(incrementRange(from, found(from, to))).toEqual({ fromLsn: from, toLsn: to })
  })

  test.each([
    ['a full backup', found('0', '7000', 'full-backuped'), 'JOB_INCOMPLETE', /calls it full-backuped/],
    [
      'an increment since another number',
      found('4999', '7000'),
      'JOB_INCOMPLETE',
      /since LSN 5000, found one since 4999/,
    ],
    ['an increment since nowhere', found(undefined, '7000'), 'JOB_INCOMPLETE', /since nowhere/],
    ['an increment without an end', found('5000', undefined), 'JOB_INCOMPLETE', /at which LSN the backup ends/],
    ['nothing that says what it is', undefined, 'JOB_INCOMPLETE', /calls it nothing/],
    [
      'an increment since tomorrow',
      found('5000', '4999'),
      'JOB_BASE_LSN',
      /at LSN 5000, and this server has come to 4999/,
    ],
  ])('is refused: %s', (_, checkpoints, code, message) => {
    expect(incrementRange('5000', checkpoints)).toMatchObject({ code, message: expect.stringMatching(message) })
  })
})
