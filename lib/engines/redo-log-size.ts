/**
 * Tells how large the server's redo log is, by the descriptors of the backup program that reads it.
 *
 * MariaDB from 10.5 on has one file of the whole size; older servers and MySQL before
 * 8.0.30 have several of equal size that are written in turn. Later ones of MySQL keep
 * theirs in `#innodb_redo/`, under numbers that come and go: unknown.
 *
 * Looks only.
 */

import { descriptorSize } from './descriptor-size.ts'

/** innodb_log_files_in_group of old servers. */
const MAX_FILES = 100

/** @returns bytes; `undefined` when the program has no such file open, is gone, or is not ours to look at */
export const redoLogSize = (pid: number): number | undefined => {
  let bytes: number | undefined
  for (let file = 0; file < MAX_FILES; file += 1) {
    const fileBytes = descriptorSize(pid, `ib_logfile${file}`)
    if (fileBytes === undefined) break
    bytes = (bytes ?? 0) + fileBytes
  }
  return bytes
}
