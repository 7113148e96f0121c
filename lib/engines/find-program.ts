/**
 * Looks for a program in a search path, as a shell would, and starts nothing.
 *
 * Not by `node:fs/promises`: an agent that is only greeted looks too, and that takes Node longer to load than to look.
 */

import { access, constants, stat } from 'node:fs'
import { isAbsolute, join, resolve } from 'node:path'
import { promisify } from 'node:util'

import { BackupError } from '../errors/index.ts'

/**
 * Absolute path of the first program that is there and may be run.
 *
 * @param files names of the program, the one to prefer first
 */
export const findProgram = async (files: readonly string[], searchPath: string): Promise<string | undefined> => {
  for (const file of files) {
    for (const directory of directoriesOf(searchPath)) {
      const path = join(directory, file)
      if (await isProgram(path)) return path
    }
  }
  return undefined
}

/**
 * Absolute path of a program that somebody has named: by a path, which counts from our own working directory and no
 * other, or by a bare name.
 *
 * @throws BackupError `ENGINE_NOT_FOUND`
 */
export const namedProgram = async (named: string, searchPath: string): Promise<string> => {
  const path = named.includes('/') ? resolve(named) : await findProgram([named], searchPath)
  if (path !== undefined && (await isProgram(path))) return path
  throw new BackupError(
    'ENGINE_NOT_FOUND',
    `expected a program that can be run, found none: ${path ?? `${named}, on the PATH`}`,
    { program: named },
    { hint: 'name the file of mariadb-backup or xtrabackup, or leave it out to have it looked for' },
  )
}

/** A relative directory in a search path means whatever the working directory is: it is passed over. */
export const directoriesOf = (searchPath: string): string[] => searchPath.split(':').filter(isAbsolute)

const isProgram = async (path: string): Promise<boolean> => {
  try {
    await promisify(access)(path, constants.X_OK)
    return (await promisify(stat)(path)).isFile()
  } catch {
    return false
  }
}
