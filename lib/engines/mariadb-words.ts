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
 * server waits for us more and more: from BLOCK_COMMIT on nobody can commit.
 *
 * Source: read from 10.11.19; fixtures/engines/mariadb-backup-10.11.19-*.txt. Pure.
 */

import type { Vocabulary } from './words-reader.ts'

const STAMP = /^\[\d+\] (FATAL ERROR: )?\d{4}-\d\d-\d\d +\d?\d:\d\d:\d\d /
const INNODB_STAMP = /^\d{4}-\d\d-\d\d +\d?\d:\d\d:\d\d \d+ (?:(\[ERROR\] )|\[\w+\] )/
const STAGE = /^(?:Start(?:ing|ed)|Acquired locks for|Executing) BACKUP STAGE ([A-Z_]+)/
const STREAMING = /^Streaming (.+?)(?: to <STDOUT>)?$/
const COPIED = /^(?:aria table file (.+) is copied successfully\.|Copied file (.+) for (?:log )?table .*)$/

export const MARIADB_WORDS: Vocabulary = {
  // What says that it is an error stays.
  withoutStamp: (line) => line.replace(STAMP, '$1').replace(INNODB_STAMP, '$1'),
  stage: (text) => STAGE.exec(text)?.[1],
  file: (text) => {
    const copied = COPIED.exec(text)
    return STREAMING.exec(text)?.[1] ?? copied?.[1] ?? copied?.[2]
  },
}
