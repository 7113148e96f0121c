/**
 * Where the binary logs are read: where the server says, or where a client says and the operator allows.
 *
 * A path that a client sends is never opened because it was sent. It has to be the
 * server's own directory, or to be inside one of the operator's list, when every symbolic
 * link on its way is followed. Which files are read there, the server's list says.
 */

import { realpath } from 'node:fs/promises'
import { dirname, isAbsolute, resolve } from 'node:path'

import { BackupError } from '../errors/index.ts'
import { showWire } from '../protocol/index.ts'

export interface ServersPlace {
  readonly binlogBasename: string
  readonly dataDirectory: string
}

export interface ClientsPlace {
  /** As the client has sent it; undefined when it has not. */
  readonly directory: string | undefined
  readonly allowed: readonly string[]
}

/** @throws BackupError `AGENT_NOT_ALLOWED`, whose hint says how to allow it */
export const binaryLogDirectory = async (
  { binlogBasename, dataDirectory }: ServersPlace,
  { directory, allowed }: ClientsPlace,
): Promise<string> => {
  const servers = dirname(resolve(dataDirectory, binlogBasename))
  if (directory === undefined) return servers
  if (!isAbsolute(directory)) throw notAllowed(directory, servers)
  const asked = await followed(directory)
  if (asked === (await followed(servers))) return servers
  for (const root of allowed) {
    const place = await followed(root)
    if (asked === place || asked.startsWith(place === '/' ? place : `${place}/`)) return asked
  }
  throw notAllowed(directory, servers)
}

/** What is not there is compared by its name. */
const followed = (path: string): Promise<string> => realpath(path).catch(() => resolve(path))

const notAllowed = (directory: string, servers: string): BackupError =>
  new BackupError(
    'AGENT_NOT_ALLOWED',
    // Between quotes: a path may end with a full stop, or be one.
    `clients may not name this directory as mysql-binlog-path: ${showWire(directory)}`,
    { directory, servers },
    {
      hint: `leave it out or name ${servers}, which the server itself uses; or the operator adds the directory to binlog-directories in the table [allow] of the agent's configuration`,
    },
  )
