/**
 * The words of Percona XtraBackup 8.
 *
 *     2024-03-01T10:00:00.000000-00:00 2 [Note] [MY-011825] [Xtrabackup] Streaming ./db/t.ibd
 *     2024-03-01T10:00:01.000000-00:00 2 [Note] [MY-011825] [Xtrabackup] Done: Streaming ./db/t.ibd
 *     2024-03-01T10:00:02.000000-00:00 0 [Note] [MY-011825] [Xtrabackup] completed OK!
 *
 * Source: its documents, not runs: XtraBackup is not in Debian. Stages are named after
 * the statement that begins them. A word it changes costs a stage in the progress, never
 * the verdict, which rests on the exit status and `completed OK!`. Pure.
 *
 * It says when it asks for a lock, not when it has it: it has it when it says the next
 * thing. `log scanned up to` does not count, that is another thread of it. From the
 * question on the server's other clients may have to wait, so from there it counts as locked.
 * LOCK INSTANCE FOR BACKUP does not: it lasts for nearly the whole backup, and keeps nobody
 * from writing, only from changing tables.
 */

import type { LockNews, Vocabulary } from './words-reader.ts'

const STAMP = /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d) \d+ (?:(\[ERROR\] )|\[\w+\] )\[MY-\d+\] \[\w+\] /
const STREAMING =
  /^(?:Compressing and streaming|Compressing, encrypting and streaming|Streaming) (.+?)(?: to <STDOUT>)?$/

const STAGES: readonly (readonly [RegExp, string])[] = [
  [/^Executing LOCK (?:INSTANCE|TABLES) FOR BACKUP/, 'LOCK_DDL'],
  [/^Executing FLUSH (?:NO_WRITE_TO_BINLOG )?TABLES/, 'LOCK_TABLES'],
  [/^Starting to backup non-InnoDB tables and files/, 'NON_INNODB'],
  [/^Selecting LSN and binary log position/, 'LOG_STATUS'],
  [/^(?:Executing UNLOCK|All tables unlocked)/, 'END'],
]

const LOCKS: readonly (readonly [RegExp, LockNews])[] = [
  [/^Executing LOCK INSTANCE FOR BACKUP/, { waitingForLock: true }],
  [/^Executing (?:LOCK |FLUSH TABLES WITH READ LOCK)/, { locked: true, waitingForLock: true }],
  [/^Executing FLUSH (?:NO_WRITE_TO_BINLOG )?TABLES/, { waitingForLock: true }],
  [/^(?:Executing UNLOCK|All tables unlocked)/, { locked: false, waitingForLock: false }],
  [/^>> log scanned up to/, {}],
]

export const XTRABACKUP_WORDS: Vocabulary = {
  // What says that it is an error stays.
  withoutStamp: (line) => line.replace(STAMP, '$1'),
  stage: (text) => STAGES.find(([words]) => words.test(text))?.[1],
  locks: (text) => LOCKS.find(([words]) => words.test(text))?.[1] ?? { waitingForLock: false },
  file: (text) => STREAMING.exec(text)?.[1],
}
