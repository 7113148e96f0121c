/**
 * The engine `xtrabackup`: a running MySQL 8 server, backed up by Percona XtraBackup 8.
 *
 * Not tried on the real program, which Debian does not have: a stand-in replays its
 * words and a small stream (fixtures/engines/xtrabackup-8-stand-in). Words: `xtrabackup-words.ts`.
 */

import { resolve } from 'node:path'

import { programEngine } from './backup-program.ts'
import type { Engine, EngineIdentity, EngineSettings } from './types.ts'
import { XTRABACKUP_WORDS } from './xtrabackup-words.ts'

export const xtrabackupEngine = (
  identity: EngineIdentity & { readonly program: string },
  settings: EngineSettings,
): Engine => {
  const { socket, datadir, runtimeDirectory } = settings
  const args = [
    '--backup',
    '--stream=xbstream',
    '--parallel=1',
    // While it streams it keeps only short-lived files there; without it, it would make a directory of its own.
    `--target-dir=${resolve(runtimeDirectory)}`,
    ...(socket === undefined ? [] : [`--socket=${resolve(socket)}`]),
    ...(datadir === undefined ? [] : [`--datadir=${resolve(datadir)}`]),
  ]
  return programEngine({ identity, vocabulary: XTRABACKUP_WORDS, args, redoLogName: 'xtrabackup_logfile' }, settings)
}
