/**
 * Whether a MariaDB server is certainly no replica, told from its data directory alone.
 *
 * An account that may not see the replica's status cannot ask the server. A replica has
 * `master.info` there, or names its connections in `multi-master.info`, which is empty
 * otherwise. Where that cannot be seen, nothing is certain. Looks only.
 */

import { stat } from 'node:fs/promises'
import { join } from 'node:path'

import type { ServerFacts } from './types.ts'

export const isCertainlyNoReplica = async ({ isMariaDb, dataDirectory }: ServerFacts): Promise<boolean> => {
  if (!isMariaDb) return false // MySQL keeps it in tables
  const bytesOf = async (name: string): Promise<number | undefined> => {
    try {
      return (await stat(join(dataDirectory, name))).size
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 0 : undefined
    }
  }
  // Without the first file it is not its data directory that we see.
  if (!((await bytesOf('ibdata1')) ?? 0)) return false
  return (await bytesOf('master.info')) === 0 && (await bytesOf('multi-master.info')) === 0
}
