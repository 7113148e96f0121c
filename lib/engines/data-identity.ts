/**
 * Gives a data directory a name that no other has, and that it loses when it is made anew.
 *
 *     ibdata1-2097417-1700000000123456789      inode and time of birth of the system tablespace
 *
 * The server makes that file once and keeps it for life. Where a backup was put back, or the
 * server was set up again, another file stands there: its log sequence numbers count another
 * history, though the path, the server and even the numbers may look the same. An increment on
 * a base from before would be wrong, and nobody would know: hence this name.
 *
 * A data directory that was copied to another disk loses its name too, and needs a full backup.
 * Looks only. Times of birth: statx(2); a file system that has none leaves the inode.
 */

import { stat } from 'node:fs/promises'
import { join } from 'node:path'

import { dataDirectoryOf } from './data-directory-of-socket.ts'
import type { EngineSettings } from './types.ts'

const SYSTEM_TABLESPACE = 'ibdata1'

/** @returns undefined where the data directory cannot be seen. Never rejects */
export const dataIdentityOf = async (
  settings: Pick<EngineSettings, 'datadir' | 'socket' | 'defaultsFile'>,
): Promise<string | undefined> => {
  try {
    const directory = await dataDirectoryOf(settings)
    if (directory === undefined) return undefined
    const { ino, birthtimeNs } = await stat(join(directory, SYSTEM_TABLESPACE), { bigint: true })
    return `${SYSTEM_TABLESPACE}-${ino}-${birthtimeNs}`
  } catch {
    return undefined // a server that keeps it elsewhere, or a directory that is not ours to look at
  }
}
