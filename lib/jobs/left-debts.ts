/**
 * Puts right what an agent has left at a server that was killed in the middle of a backup.
 *
 * With whatever login there is: the operator's when an agent starts, the client's when the
 * next backup does. What cannot be put right now stays written down for the next one.
 */

import type { EngineLog } from '../engines/index.ts'
import type { BackupError } from '../errors/index.ts'
import type { ServerDebts } from '../history/index.ts'
import { connectServer, type ServerConnection, type ServerLogin } from '../server/index.ts'
import { startReplica } from './replica.ts'
import { putTimeoutsBack } from './server-timeouts.ts'

/** Never throws. */
export const payLeftDebt = async (server: ServerConnection, debts: ServerDebts, log: EngineLog): Promise<void> => {
  try {
    const { serverUuid } = await server.facts()
    const debt = await debts.of(serverUuid)
    if (debt?.isLeft !== true) return
    log.warn({ ...debt }, 'an agent was killed during a backup of this server: putting right what it has left')
    await putTimeoutsBack(server, debt.settings, log)
    if (debt.replica) await startReplica(server, await server.replicaStatus(), log)
    await debts.paid(serverUuid)
  } catch (error) {
    sayStays(error, log)
  }
}

/** Whether a full backup that another process makes counts on a replica that stands still. Never throws. */
export const isCountedOn = async (server: ServerConnection, debts: ServerDebts | undefined): Promise<boolean> => {
  try {
    const debt = await debts?.of((await server.facts()).serverUuid)
    return debt?.replica === true && !debt.isLeft
  } catch {
    return false // nobody is known to
  }
}

/** For the start of an agent. Asks no server while nothing is left. Never throws. */
export const payLeftDebts = async (login: ServerLogin, debts: ServerDebts, log: EngineLog): Promise<void> => {
  try {
    if (!(await debts.isAnyLeft())) return
    const server = await connectServer(login)
    try {
      await payLeftDebt(server, debts, log)
    } finally {
      await server.close()
    }
  } catch (error) {
    sayStays(error, log)
  }
}

const sayStays = (error: unknown, log: EngineLog): void => {
  const { code, message } = error as BackupError
  log.warn({ code }, `what a killed agent has left at the server stays so until the next backup: ${message}`)
}
