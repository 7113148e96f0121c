import { describe, expect, test } from '@jest/globals'

import { CheckpointsSeen } from '../../lib/archive/checkpoints-seen.ts'

const TEXT =
  'backup_type = incremental\nfrom_lsn = 4187346\nto_lsn = 4949467\nlast_lsn = 4949567\nrecover_binlog_info = 0\n'
const MEANT = { backupType: 'incremental', lsn: { from: '4187346', to: '4949467', last: '4949567' } }

describe('what passes of the checkpoints', () => {
  test.each(['xtrabackup_checkpoints', 'mariadb_backup_checkpoints'])('is read from %s, however it was cut', (path) => {
    const bytes = Buffer.from(TEXT)
    const seen = new CheckpointsSeen()
    for (const [at] of bytes.entries()) {
      const byte = Buffer.from(bytes.subarray(at, at + 1))
      seen.take(path, byte)
      byte.fill(0) // only lent
      seen.take('ibdata1', Buffer.from('backup_type = full-backuped\n'))
    }

    expect(seen.found).toEqual(MEANT)
  })

  test.each([
    ['there was none', 'xtrabackup_info', TEXT],
    ['it lies deeper', 'shop/xtrabackup_checkpoints', TEXT],
    ['it is absurdly long', 'xtrabackup_checkpoints', TEXT + '#'.repeat(65_536)],
  ])('is nothing where %s', (_, path, text) => {
    const seen = new CheckpointsSeen()
    seen.take(path, Buffer.from(text))

    expect(seen.found).toBeUndefined()
  })

  test('leaves out what has another form', () => {
    const seen = new CheckpointsSeen()
    seen.take('xtrabackup_checkpoints', Buffer.from('backup_type = \u001b[2J\nfrom_lsn = -1\nto_lsn = 7\n'))

    expect(seen.found).toEqual({ lsn: { to: '7' } })
  })
})
