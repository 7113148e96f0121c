/**
 * A request that a backup, or binary logs, are to be made for: everything that is needed for that stands behind this file.
 *
 *     its turn to log in ─▶ is another one running? ─▶ what the server is asked for ─▶ what it is built upon ─▶ `backup-session.ts`
 *                                                             └▶ `binary-logs-session.ts`
 *
 * Loaded with the first of them, or with an agent that listens.
 */

import { checkUserName } from '../engines/index.ts'
import type { Logger } from '../log/index.ts'
import type { AgentRequest } from '../protocol/index.ts'
import { serveBackup } from './backup-session.ts'
import { serveBinaryLogs } from './binary-logs-session.ts'
import { loginTrial } from './login-trial.ts'
import { findOrigin } from './origin.ts'
import type { Decision } from './policy.ts'
import { readServerWishes, type ServerWishes, serverSideOf } from './server-wishes.ts'
import type { Connection, SessionContext } from './session.ts'

type BackupDecision = Extract<Decision, { kind: 'backup' }>

/** @throws BackupError why there is no backup, before anything was said */
export const serveBackupRequest = async (
  arrived: Connection,
  decision: BackupDecision | Extract<Decision, { kind: 'binary-logs' }>,
  request: AgentRequest,
  context: SessionContext,
  log: Logger,
): Promise<void> => {
  const isTried = context.loginRequired || context.server !== undefined
  const login = isTried ? loginTrial(arrived.visitor, { ...decision, instance: context.name }) : undefined
  if (login !== undefined && decision.user !== undefined) checkUserName(decision.user) // an account has one spelling
  if (login !== undefined && !(await login.turn(context.hurry))) return
  const connection = { ...arrived, login }
  const wishes = readServerWishes(request)
  try {
    if (decision.kind === 'binary-logs') await serveBinaryLogs(connection, decision, wishes, context, log)
    else await serveOfPages(connection, decision, wishes, context, log)
  } catch (error) {
    login?.failedBy(error)
    throw error
  }
}

const serveOfPages = async (
  connection: Connection,
  decision: BackupDecision,
  wishes: ServerWishes,
  context: SessionContext,
  log: Logger,
): Promise<void> => {
  // First of all: who is told "busy" has tried no login, and learns nothing of one.
  const lease = context.admission.admit(decision.sid)
  try {
    const serverSide = serverSideOf(decision, wishes, context)
    const origin = await findOrigin(decision, context, log, () => connection.login?.wasRight())
    await serveBackup(connection, decision, context, log, { serverSide, ...origin, lease })
  } finally {
    lease.release() // the job has done so already, where there was one
  }
}
