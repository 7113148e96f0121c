/**
 * Makes a directory for us alone, with whatever is missing above it.
 *
 *     /home/a       is there: must belong to us, and nobody else may write to it
 *     ├ .local      made, mode 0700
 *     │ └ state     made, mode 0700
 *     │   └ …       the one that is wanted: made, mode 0700
 *
 * What is made in between is ours as well, or it is not made: in the directory of somebody
 * else it would be theirs to rename, with all that is remembered below it.
 *
 * What is there already is not looked at here; whoever opens the directory does that.
 */

import { constants, type Stats } from 'node:fs'
import { lstat, mkdir, open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

import { BackupError } from '../errors/index.ts'

const PRIVATE = 0o700
const WRITABLE_FOR_OTHERS = 0o022
/** In such a directory only the owner of a thing may rename it. Node exports no name for it. Source: inode(7). */
const STICKY = 0o1000

/**
 * @param path absolute
 * @throws BackupError `HISTORY_UNSAFE`; errors of the system come through as they are
 */
export const makePrivateDirectory = async (path: string): Promise<void> => {
  if (await isThere(lstat(path))) return
  const missing = [path]
  let parent = dirname(path)
  for (; !(await isThere(stat(parent))); parent = dirname(parent)) missing.unshift(parent)
  // Without anything between them it is the directory itself that counts, and whoever opens it checks it.
  if (missing.length > 1) checkParent(parent, await stat(parent))
  for (const directory of missing) {
    await make(directory)
    if (directory !== path) checkMade(directory, await lstat(directory))
  }
}

const isThere = async (looking: Promise<Stats>): Promise<boolean> => {
  try {
    await looking
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

const make = async (directory: string): Promise<void> => {
  try {
    await mkdir(directory, { mode: PRIVATE })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return // another agent may start at the same moment
    throw error
  }
  await keepName(dirname(directory))
}

/** A line on the disk is worth nothing while the name of its directory is not. */
const keepName = async (parent: string): Promise<void> => {
  const handle = await open(parent, constants.O_RDONLY | constants.O_DIRECTORY).catch(() => undefined)
  if (handle === undefined) return // one that we may write to and not read
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const checkParent = (parent: string, found: Stats): void => {
  const user = process.geteuid?.() ?? 0
  if (found.uid !== user) throw unsafe(parent, `${parent} belongs to user ${found.uid}, expected ${user}`)
  if ((found.mode & WRITABLE_FOR_OTHERS) !== 0 && (found.mode & STICKY) === 0) {
    throw unsafe(parent, `others may write to ${parent}`)
  }
}

/** Nobody but us could have put something else there; a link that leads nowhere may have been there before. */
const checkMade = (directory: string, found: Stats): void => {
  if (!found.isDirectory()) throw unsafe(directory, `${directory} is not a directory`)
  checkParent(directory, found)
}

const unsafe = (path: string, message: string): BackupError =>
  new BackupError(
    'HISTORY_UNSAFE',
    `the state directory is missing, and nothing is made on the way to it: ${message}`,
    { path },
    { hint: 'make it, mode 0700, owned by the user of the agent, or name another directory with --state-dir' },
  )
