/**
 * The directory of the engine `directory`: whether it is one, and what is said when it cannot be read.
 *
 * Looks only, and at nothing inside of it. Why not by `node:fs/promises`: `find-program.ts`.
 */

import { realpath, stat } from 'node:fs'
import { resolve } from 'node:path'
import { promisify } from 'node:util'

import { BackupError } from '../errors/index.ts'

/**
 * @param directory may be a symbolic link itself
 * @returns where it really is
 * @throws BackupError `ENGINE_DIRECTORY` when it is no directory or cannot be looked at
 */
export const resolveDirectory = async (directory: string): Promise<string> => {
  const path = resolve(directory)
  try {
    const root = await promisify(realpath.native)(path)
    if ((await promisify(stat)(root)).isDirectory()) return root
  } catch (error) {
    throw unreadable(path, error)
  }
  throw new BackupError(
    'ENGINE_DIRECTORY',
    `${path} is not a directory`,
    { path },
    { hint: 'give a data directory with --directory' },
  )
}

/** The error for something in the directory that we may not read, or that went away. */
export const unreadable = (path: string, error: unknown): BackupError => {
  const errno = (error as NodeJS.ErrnoException).code ?? 'unknown error'
  const isDenied = errno === 'EACCES' || errno === 'EPERM'
  return new BackupError(
    'ENGINE_DIRECTORY',
    `${path} cannot be read: ${errno}`,
    { path, errno },
    {
      cause: error,
      hint: isDenied
        ? 'run the agent as the user that owns the directory, usually mysql'
        : 'look at it by hand, then try again',
    },
  )
}
