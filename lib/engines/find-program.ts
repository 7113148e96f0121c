/**
 * Looks for a program in a search path, as a shell would, and starts nothing.
 */

import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'

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

/** A relative directory in a search path means whatever the working directory is: it is passed over. */
export const directoriesOf = (searchPath: string): string[] => searchPath.split(':').filter(isAbsolute)

const isProgram = async (path: string): Promise<boolean> => {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}
