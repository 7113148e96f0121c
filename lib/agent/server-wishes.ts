/**
 * What a request wants of the server, and how the agent reaches it.
 *
 * Read out of the pairs that deployed clients send: `replication`, `binlog`,
 * `mysql-binlog-path`. None of them is opened or run here. Keys: PROTOCOL.md, "Keys of a
 * request".
 */

import type { AgentSettings } from '../config/index.ts'
import type { Engine } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { FullBackupServerSide, type ServerSide } from '../jobs/index.ts'
import { readTimeoutWishes } from './timeout-wishes.ts'
import type { AgentRequest, CopyRequest } from '../protocol/index.ts'
import type { ServerLogin } from '../server/index.ts'
import type { StreamDecision } from './policy.ts'
import type { SessionContext } from './session.ts'

/** How this agent reaches its server. */
export interface ServerAccess {
  readonly socket?: string | undefined
  readonly defaultsFile?: string | undefined
  /** Directories that clients may name as `mysql-binlog-path`. */
  readonly binlogDirectories: readonly string[]
}

export interface ServerWishes {
  /** The client has stopped a replica and counts on its being started again. */
  readonly replication: boolean
  /** Name of the first binary log wanted. */
  readonly binlog: string | undefined
  readonly binlogPath: string | undefined
  readonly pairs: ReadonlyMap<string, string>
}

/** What a server makes of log_bin: a name, a dot, a number. Never a path. */
const BINARY_LOG = /^[^/\\]{1,240}\.[0-9]{6,10}$/

/** @returns undefined for an engine that works without a server */
export const serverAccess = (settings: Partial<AgentSettings>, engine: Engine): ServerAccess | undefined => {
  if (!engine.needsLogin) return undefined
  const { socket, defaultsFile, allow } = settings
  return { socket, defaultsFile, binlogDirectories: allow?.binlogDirectories ?? [] }
}

export const readServerWishes = (request: AgentRequest): ServerWishes => {
  const { replication, pairs } = request as CopyRequest
  return {
    replication,
    binlog: pairs.get('binlog') || undefined,
    binlogPath: pairs.get('mysql-binlog-path') || undefined,
    pairs,
  }
}

/** @throws BackupError `PROTOCOL_VALUE_INVALID` */
export const wantedBinaryLog = ({ binlog }: ServerWishes): string | undefined => {
  if (binlog === undefined || BINARY_LOG.test(binlog)) return binlog
  throw new BackupError(
    'PROTOCOL_VALUE_INVALID',
    'expected the file name of a binary log, NAME.NNNNNN, as the value of binlog, found something else',
    { key: 'binlog' },
  )
}

/** With the login of the client, or the operator's own. */
export const loginOf = ({ user, password }: StreamDecision, { socket, defaultsFile }: ServerAccess): ServerLogin => ({
  socket,
  defaultsFile,
  user,
  password,
})

/** Around a full backup. @throws BackupError `PROTOCOL_VALUE_INVALID` */
export const serverSideOf = (
  decision: StreamDecision,
  { replication, pairs }: ServerWishes,
  { server, debts }: SessionContext,
): ServerSide | undefined => {
  if (server === undefined) return undefined
  const timeouts = readTimeoutWishes(pairs)
  return new FullBackupServerSide({ login: loginOf(decision, server), replication, timeouts, debts })
}
