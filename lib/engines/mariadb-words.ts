/**
 * The words of mariadb-backup (and of mariabackup, its name until 10.5).
 *
 *     [00] 2026-11-21 06:47:35 Acquired locks for BACKUP STAGE BLOCK_DDL
 *     [00] 2026-11-21 06:47:35 Streaming ./db/t.ibd
 *     [00] 2026-11-21 06:47:35 aria table file ./mysql/proc.MAI is copied successfully.
 *     [00] FATAL ERROR: 2026-11-21 06:47:36 failed to execute query …
 *     2026-11-21  6:47:36 0 [Note] InnoDB: Starting shutdown...
 *
 * Stages, in order: START, FLUSH, BLOCK_DDL, BLOCK_COMMIT, END. In the middle three the
 * server waits for us more and more: from BLOCK_COMMIT on nobody can commit. Each of them
 * is asked for (`Starting …`, `Started …`) and then had (`Acquired locks for …`).
 *
 * Versions that do not know the stages apart, 10.5 for one, say `Acquiring BACKUP LOCKS`
 * and have BLOCK_COMMIT when they start with the tables that are not InnoDB's.
 *
 * Source: read from 10.11.19; fixtures/engines/mariadb-backup-10.11.19-*.txt; the old ones
 * from extra/mariabackup/backup_mysql.cc. Pure.
 */

import type { LockNews, Vocabulary } from './words-reader.ts'

const STAMP = /^\[\d+\] (FATAL ERROR: )?\d{4}-\d\d-\d\d +\d?\d:\d\d:\d\d /
const INNODB_STAMP = /^\d{4}-\d\d-\d\d +\d?\d:\d\d:\d\d \d+ (?:(\[ERROR\] )|\[\w+\] )/
const STAGE = /^(?:Start(?:ing|ed)|Acquired locks for|Executing) BACKUP STAGE ([A-Z_]+)/
const STREAMING = /^Streaming (.+?)(?: to <STDOUT>)?$/
const COPIED = /^(?:aria table file (.+) is copied successfully\.|Copied file (.+) for (?:log )?table .*)$/

const LOCKS: readonly (readonly [RegExp, LockNews])[] = [
  [/^(?:Executing BACKUP STAGE END|All tables unlocked)/, { locked: false, waitingForLock: false }],
  [/^(?:Start(?:ing|ed)|Executing) BACKUP STAGE (?!END)|^Acquiring BACKUP LOCKS/, { waitingForLock: true }],
  [/^Acquired locks for BACKUP STAGE START|^Error on BACKUP STAGE/, { waitingForLock: false }],
  [
    /^Acquired locks for BACKUP STAGE |^Starting to backup non-InnoDB tables and files/,
    { locked: true, waitingForLock: false },
  ],
]

export const MARIADB_WORDS: Vocabulary = {
  // What says that it is an error stays.
  withoutStamp: (line) => line.replace(STAMP, '$1').replace(INNODB_STAMP, '$1'),
  stage: (text) => STAGE.exec(text)?.[1],
  locks: (text) => LOCKS.find(([words]) => words.test(text))?.[1] ?? {},
  file: (text) => {
    const copied = COPIED.exec(text)
    return STREAMING.exec(text)?.[1] ?? copied?.[1] ?? copied?.[2]
  },
}
