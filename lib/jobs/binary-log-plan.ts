/**
 * What an incremental backup will be: asked of the server before anything is promised to the client.
 *
 *     server ─▶ facts, logs ─▶ which are closed ─┬▶ send: these files, and the replica's columns
 *                  replica? looked at, started   └▶ nothing is closed yet
 *
 * Nothing is flushed: the client's run has done so, or wants only what is closed by now.
 * A replica is looked at when the list of logs is fixed, and started at once: what it
 * writes from then on goes into a log that is not sent. It is started also when there is
 * nothing to send, and when the wanted log is gone: its run counts on it. But not while
 * another process makes a full backup that counts on its coordinates: that one starts it.
 */

import type { BinaryLogFiles, EngineLog } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import type { ServerDebts } from '../history/index.ts'
import {
  type BinaryLog,
  closedLogs,
  connectServer,
  type ReplicaConnection,
  type ServerFacts,
  type ServerLogin,
} from '../server/index.ts'
import { binaryLogDirectory } from './binary-log-directory.ts'
import { isCountedOn, payLeftDebt } from './left-debts.ts'
import { lookAtReplica, sayLeftStopped, startReplica } from './replica.ts'

export interface BinaryLogOrder {
  readonly login: ServerLogin
  /** Name of the first one wanted; without it, the first there is. */
  readonly from: string | undefined
  /** A directory that the client names. */
  readonly directory: string | undefined
  /** Directories that the operator lets clients name. */
  readonly allowed: readonly string[]
  readonly replication: boolean
  /** Where it is written down what servers are owed; undefined where nothing is remembered. */
  readonly debts: ServerDebts | undefined
  readonly log: EngineLog
}

export type BinaryLogPlan =
  | { readonly kind: 'send'; readonly files: BinaryLogFiles; readonly replica: readonly ReplicaConnection[] }
  | { readonly kind: 'nothing'; readonly msg: string }

/** @throws BackupError `SERVER_*`, `ENGINE_LOGIN`, `ENGINE_PRIVILEGE`, `AGENT_NOT_ALLOWED` */
export const planBinaryLogs = async (order: BinaryLogOrder): Promise<BinaryLogPlan> => {
  const { login, from, replication, debts, log } = order
  const server = await connectServer(login)
  let replica: readonly ReplicaConnection[] = []
  try {
    const facts = await server.facts()
    log.info({ server: facts.versionText, binlogFormat: facts.binlogFormat }, 'server')
    if (debts !== undefined) await payLeftDebt(server, debts, log)
    if (replication) replica = await lookAtReplica(server, log)
    const logs = await server.binaryLogs()
    const closed = closedLogs(logs, from)
    if (closed.length === 0) return { kind: 'nothing', msg: nothingClosed(logs, from) }
    return { kind: 'send', files: { directory: await directoryFor(order, facts), logs: closed }, replica }
  } finally {
    if (replica.length > 0 && (await isCountedOn(server, debts))) sayLeftStopped(replica, log)
    else await startReplica(server, replica, log)
    await server.close()
  }
}

const directoryFor = (order: BinaryLogOrder, { binlogBasename, dataDirectory }: ServerFacts): Promise<string> => {
  if (binlogBasename === undefined) {
    throw new BackupError('SERVER_QUERY', 'the server does not say where its binary logs are (log_bin_basename)')
  }
  return binaryLogDirectory({ binlogBasename, dataDirectory }, order)
}

const nothingClosed = (logs: readonly BinaryLog[], from: string | undefined): string => {
  const which = from === undefined ? 'no binary log' : `no binary log from ${from} on`
  return `nothing to send: ${which} is closed yet, the server writes to ${logs.at(-1)?.name ?? 'none'}`
}
