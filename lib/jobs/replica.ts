/**
 * A replica that the client has stopped for its backup: looked at, and started again.
 *
 *     look ─▶ columns for the client ─▶ … the backup's instant is past … ─▶ start
 *
 * A client that says `replication=1` has stopped the replica before it asked, so that its
 * coordinates hold still, and counts on its being started again, however the backup ends.
 * On a server that is no replica there is nothing to do, and that is no error.
 */

import type { EngineLog } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { isCertainlyNoReplica, type ReplicaConnection, type ServerConnection } from '../server/index.ts'

/**
 * @returns its connections to its sources; none when it is no replica
 * @throws BackupError `ENGINE_PRIVILEGE` with the statement that gives what is missing, also when it could be seen but
 *   not be started; `SERVER_*`
 */
export const lookAtReplica = async (
  server: ServerConnection,
  log: EngineLog,
): Promise<readonly ReplicaConnection[]> => {
  if (
    (await server.missingGrants('replica-status')) !== undefined &&
    (await isCertainlyNoReplica(await server.facts()))
  ) {
    log.info({}, 'replication=1: the server is no replica, nothing to start')
    return []
  }
  const connections = await server.replicaStatus()
  if (connections.length === 0) log.info({}, 'replication=1: the server is no replica, nothing to start')
  if (connections.some(({ isRunning }) => !isRunning))
    await server.requireGrants('replica-start', 'to start the replica')
  return connections
}

/** Never throws: the backup is as good as it is, and the log says what is left to do. */
export const startReplica = async (
  server: ServerConnection,
  connections: readonly ReplicaConnection[],
  log: EngineLog,
): Promise<void> => {
  const stopped = connections.filter(({ isRunning }) => !isRunning).map(({ name }) => name)
  if (connections.length === 0) return
  if (stopped.length === 0) {
    log.info({}, 'replication=1: the replica runs already')
    return
  }
  try {
    await server.startReplica(connections)
    log.info({ connections: stopped }, 'replica started, as the client asked with replication=1')
  } catch (error) {
    sayNotStarted(error, log)
  }
}

/** Another backup counts on its coordinates. */
export const sayLeftStopped = (connections: readonly ReplicaConnection[], log: EngineLog): void => {
  if (connections.every(({ isRunning }) => isRunning)) return
  log.warn({}, 'the replica is not started: another backup of this server runs, and may count on its coordinates')
}

export const sayNotStarted = (error: unknown, log: EngineLog): void => {
  const { code, message, hint } =
    error instanceof BackupError ? error : { code: 'BUG', message: String(error), hint: '' }
  log.warn({ code, hint }, `the replica was not started again: run START SLAVE by hand: ${message}`)
}
