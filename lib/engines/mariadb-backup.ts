/**
 * The engine `mariadb-backup`: a running MariaDB server, backed up by MariaDB's own program.
 *
 * With `--stream` it writes no file of its own: neither `--target-dir` nor `--tmpdir` is
 * used (traced on 10.11.19), so neither is given. Words: `mariadb-words.ts`.
 */

import { resolve } from 'node:path'

import { programEngine } from './backup-program.ts'
import { MARIADB_WORDS } from './mariadb-words.ts'
import type { Engine, EngineIdentity, EngineSettings } from './types.ts'

/** A second backup of one server waits for the first without a word; a minute is enough for a slow FLUSH. */
export const STARTUP_WAIT_SECONDS = 60

/** @param help what the program says to `--help`: options that this version does not have are not given */
export const mariadbBackupEngine = (
  identity: EngineIdentity & { readonly program: string },
  help: string,
  settings: EngineSettings,
): Engine => {
  const { socket, datadir, startupWaitSeconds = STARTUP_WAIT_SECONDS } = settings
  const args = [
    '--backup',
    '--stream=xbstream',
    // One file at a time: its big files are streamed on, not spooled.
    '--parallel=1',
    ...(socket === undefined ? [] : [`--socket=${resolve(socket)}`]),
    ...(datadir === undefined ? [] : [`--datadir=${resolve(datadir)}`]),
    ...(help.includes('--startup-wait-timeout') ? [`--startup-wait-timeout=${startupWaitSeconds}`] : []),
  ]
  return programEngine({ identity, vocabulary: MARIADB_WORDS, args, redoLogName: 'ib_logfile0' }, settings)
}
