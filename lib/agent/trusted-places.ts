/**
 * Refuses to start where other users of the host could reach in, and says which command closes the door.
 *
 *     spool-dir, TMPDIR      root's or ours; where others write as well, sticky
 *     defaults-file          root's or ours, others write nothing; with a password in it, others read nothing
 *
 * The state directory and the configuration file are looked at by whoever opens them. What is
 * not there is no door: the backup that needs it says so. Looks only. Rule: SECURITY.md, "What is protected today".
 */

import { tmpdir } from 'node:os'

import { BackupError } from '../errors/index.ts'
import { checkDefaultsFile } from '../server/index.ts'
import { lookAtDirectory } from '../trust/index.ts'

/** @throws BackupError `SCRATCH_UNSAFE` */
export const checkScratchPlace = async (directory: string, setting: '--spool-dir' | 'TMPDIR'): Promise<void> => {
  const lax = await lookAtDirectory(directory).catch(() => undefined)
  if (lax === undefined) return
  throw new BackupError(
    'SCRATCH_UNSAFE',
    `the directory ${directory} (${setting}) cannot be used: ${lax.problem}`,
    { directory },
    { hint: `${lax.command}, or name another directory with ${setting}` },
  )
}

/** The runtime directory is made in there. @throws BackupError `SCRATCH_UNSAFE` */
export const checkRuntimePlace = (): Promise<void> => checkScratchPlace(tmpdir(), 'TMPDIR')

/** @throws BackupError `ENGINE_DEFAULTS_FILE` */
export const checkLoginFiles = async (paths: readonly (string | undefined)[]): Promise<void> => {
  for (const path of new Set(paths)) {
    if (path !== undefined) await checkDefaultsFile(path).catch(unlessMissing)
  }
}

const unlessMissing = (error: unknown): void => {
  const { cause } = error as Error
  if ((cause as NodeJS.ErrnoException | undefined)?.code !== 'ENOENT') throw error
}
