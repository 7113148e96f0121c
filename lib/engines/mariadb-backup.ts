/**
 * The engine `mariadb-backup`: a running MariaDB server, backed up by MariaDB's own program.
 *
 * With `--stream` it writes no file of its own: neither `--target-dir` nor `--tmpdir` is
 * used (traced on 10.11.19), so neither is given. Nor is `--startup-wait-timeout`: with it
 * the program waits until not one query is running, whatever the query does (seen on
 * 10.11.19), so a report of an hour would be the end of every backup. How long the locks
 * may be waited for is watched by the room `jobs`. Words: `mariadb-words.ts`.
 */

import { resolve } from 'node:path'

import { programEngine } from './backup-program.ts'
import { MARIADB_WORDS } from './mariadb-words.ts'
import type { Engine, EngineIdentity, EngineSettings } from './types.ts'

export const mariadbBackupEngine = (
  identity: EngineIdentity & { readonly program: string },
  settings: EngineSettings,
): Engine => {
  const { socket, datadir } = settings
  const args = [
    '--backup',
    '--stream=xbstream',
    // One file at a time: its big files are streamed on, not spooled.
    '--parallel=1',
    ...(socket === undefined ? [] : [`--socket=${resolve(socket)}`]),
    ...(datadir === undefined ? [] : [`--datadir=${resolve(datadir)}`]),
  ]
  return programEngine({ identity, vocabulary: MARIADB_WORDS, args, redoLogName: 'ib_logfile0' }, settings)
}
