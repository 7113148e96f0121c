/**
 * Whether the way to a file may be believed: whoever can rename a directory on it decides what lies at its end.
 *
 *     /            root 0755
 *     /etc         root 0755
 *     /etc/shared  root 0777      everyone may replace what is in it
 *     /etc/shared/login.cnf
 *
 * Looks at the directories as the system would walk them, all links followed. Reads no file.
 */

import { realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

import { type Laxity, laxDirectory } from './file-trust.ts'

/** One directory. @throws errors of the system, as they are */
export const lookAtDirectory = async (path: string): Promise<Laxity | undefined> => laxDirectory(await stat(path), path)

/**
 * Every directory above a file, from the top.
 *
 * @returns the first that is lax, its name in the clause: `its directory /etc/shared: everyone may …`
 * @throws errors of the system, as they are
 */
export const laxWay = async (path: string): Promise<Laxity | undefined> => {
  const directories: string[] = []
  for (let at = dirname(await realpath(path)); ; at = dirname(at)) {
    directories.unshift(at)
    if (at === dirname(at)) break
  }
  for (const directory of directories) {
    const lax = await lookAtDirectory(directory)
    if (lax !== undefined) return { ...lax, problem: `of its directory ${directory}: ${lax.problem}` }
  }
  return undefined
}
