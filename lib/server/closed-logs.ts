/**
 * Which binary logs an incremental backup is made of: from the wanted one to the last that is closed. Pure.
 *
 *     bin.000004   bin.000005   bin.000006   bin.000007
 *                  ▲ wanted                  ▲ being written: never sent
 *                  └──────── sent ─────────┘
 */

import { BackupError } from '../errors/index.ts'
import type { BinaryLog } from './types.ts'

/**
 * @param logs as the server lists them, oldest first, the last one being written
 * @param from name of the first one wanted; without it, the first there is
 * @returns none when nothing from there on is closed
 * @throws BackupError `SERVER_BINLOG_GONE`, which names the oldest one there is
 */
export const closedLogs = (logs: readonly BinaryLog[], from?: string): readonly BinaryLog[] => {
  const first = from === undefined ? 0 : logs.findIndex(({ name }) => name === from)
  if (first !== -1) return logs.slice(first, -1)
  const [oldest, newest] = [logs[0]?.name ?? 'none', logs.at(-1)?.name ?? 'none']
  throw new BackupError(
    'SERVER_BINLOG_GONE',
    `the server has no binary log ${from}: the oldest one there is ${oldest}, the newest ${newest}`,
    { wanted: from ?? null, oldest, newest },
    { hint: `begin again with a full backup; what is there can be had with binlog=${oldest}` },
  )
}
