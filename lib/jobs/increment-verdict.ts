/**
 * Decides whether what a backup program wrote is the increment that was asked for.
 *
 * By the program's own file, `xtrabackup_checkpoints`: that is what a preparation will go by.
 * The program takes any number for the end of a base and says `completed OK!`; a number that
 * lies ahead of the server shows here at the latest. Pure.
 */

import type { Checkpoints } from '../archive/index.ts'
import { BackupError } from '../errors/index.ts'

/** Where an increment begins and ends. */
export interface IncrementRange {
  readonly fromLsn: string
  readonly toLsn: string
}

/** @returns the range, or why there is none */
export const incrementRange = (
  askedLsn: string,
  checkpoints: Checkpoints | undefined,
): IncrementRange | BackupError => {
  const { backupType, lsn: { from, to } = {} } = checkpoints ?? {}
  if (backupType !== 'incremental') {
    return wrong(`expected an incremental backup, found that the backup program calls it ${backupType ?? 'nothing'}`)
  }
  if (from !== askedLsn) {
    return wrong(`expected a backup since LSN ${askedLsn}, found one since ${from ?? 'nowhere'}`)
  }
  if (to === undefined) return wrong(`expected to be told at which LSN the backup ends, found nothing`)
  if (BigInt(to) < BigInt(from)) {
    return new BackupError(
      'JOB_BASE_LSN',
      `the base ends at LSN ${from}, and this server has come to ${to} only`,
      { baseLsn: from, serverLsn: to },
      { hint: 'it is of another server, or this one was restored from an older backup: take a full backup' },
    )
  }
  return { fromLsn: from, toLsn: to }
}

const wrong = (message: string): BackupError =>
  new BackupError('JOB_INCOMPLETE', message, {}, { hint: 'look into the log for what the backup program said' })
