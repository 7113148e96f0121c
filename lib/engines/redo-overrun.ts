/**
 * Says that the server overwrote redo log that was not copied yet, and how large the log must be for this backup.
 *
 *     copiedFrom ──────────── copiedTo ─ ─ ─ overwritten ─ ─ ─ wanted
 *     └──────────────── written while the backup ran ───────────────┘
 *
 * The server writes its redo log in a circle. A log that holds everything written while
 * the backup ran cannot be overrun, however slow the copying is: that is the needed size.
 * The next backup will take as long and find as much, but not exactly: so half as much again.
 *
 * Pure. `SET GLOBAL innodb_log_file_size` works on a running MariaDB from 10.9 on; the
 * size must not be below innodb_log_buffer_size, 16 MiB unless somebody changed it.
 */

import { BackupError, type Facts } from '../errors/index.ts'
import type { RedoRange } from './failure-signs.ts'

export interface RedoOverrun {
  /** Name of the backup program. */
  readonly name: string
  /** What it said. */
  readonly said: string
  readonly range: RedoRange | undefined
  /** Size of the server's redo log, if it was seen. */
  readonly redoCapacityBytes: number | undefined
}

const MIB = 1024 * 1024
const STEP_BYTES = 16 * MIB
const RESERVE = 1.5

export const redoOverrunError = ({ name, said, range, redoCapacityBytes }: RedoOverrun, facts: Facts): BackupError => {
  const neededBytes = range === undefined ? undefined : writtenBytes(range)
  return new BackupError(
    'ENGINE_REDO_OVERRUN',
    `the server overwrote redo log before it was copied: ${said}`,
    {
      ...facts,
      ...range,
      ...(neededBytes === undefined ? {} : { neededBytes }),
      ...(redoCapacityBytes === undefined ? {} : { redoCapacityBytes }),
    },
    { hint: name === 'xtrabackup' ? MYSQL_HINT : mariadbHint(neededBytes, redoCapacityBytes) },
  )
}

const MYSQL_HINT =
  'make innodb_redo_log_capacity larger (innodb_log_file_size before MySQL 8.0.30), or run the backup when less is written'

const mariadbHint = (neededBytes: number | undefined, redoCapacityBytes: number | undefined): string => {
  const other = 'or run the backup when less is written'
  if (neededBytes === undefined) {
    return `make innodb_log_file_size larger: SET GLOBAL does it at once from MariaDB 10.9 on, the server's option file after a restart; ${other}`
  }
  const newMib = (Math.ceil((neededBytes * RESERVE) / STEP_BYTES) * STEP_BYTES) / MIB
  const present = redoCapacityBytes === undefined ? '' : ` and has ${inMib(redoCapacityBytes)}`
  return (
    `the redo log needed ${inMib(neededBytes)}${present}: SET GLOBAL innodb_log_file_size=${newMib * MIB} does it at once ` +
    `from MariaDB 10.9 on; innodb_log_file_size=${newMib}M in the server's option file keeps it, and before 10.9 ` +
    `does it after a restart; ${other}`
  )
}

const writtenBytes = ({ copiedFrom, wanted }: RedoRange): number | undefined => {
  const bytes = Number(BigInt(wanted) - BigInt(copiedFrom))
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined
}

const inMib = (bytes: number): string => `${Math.ceil(bytes / MIB)} MiB`
