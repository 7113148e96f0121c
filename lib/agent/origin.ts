/**
 * What a backup is made of: which server it is, and for an incremental one the base it is built upon.
 *
 *     the server, asked ─────▶ its name, where its redo log stands ─┐
 *     its data directory ────▶ a name that it loses when made anew ─┼─▶ findBase ─▶ plan
 *     what is remembered ───────────────────────────────────────────┘
 *
 * Asked before the job begins: a base that must not be built upon is a refusal, and costs
 * nothing. A server that does not answer is no refusal here: the backup program will say why. A login that is
 * wrong is one for a base: what is said of one tells who may have it something of the server.
 */

import { BackupError } from '../errors/index.ts'
import { findBase, type IncrementalBase, recordedServer, type ServerIdentity } from '../jobs/index.ts'
import type { Logger } from '../log/index.ts'
import { connectServer, type ServerFacts, type ServerLogin } from '../server/index.ts'
import type { BackupPlan } from './backup-session.ts'
import type { Decision } from './policy.ts'
import { loginOf } from './server-wishes.ts'
import type { SessionContext } from './session.ts'

type BackupDecision = Extract<Decision, { kind: 'backup' }>

/** A client of 0.77 is waiting to be told that it was accepted. */
const PATIENCE = { connectMs: 5_000, queryMs: 5_000 }

/**
 * @param onLogin called when the server has taken the login
 * @throws BackupError `JOB_BASE_*`, `HISTORY_*`; `ENGINE_LOGIN`, before anything is said of a base
 */
export const findOrigin = async (
  decision: BackupDecision,
  context: SessionContext,
  log: Logger,
  onLogin: () => void,
): Promise<Omit<BackupPlan, 'lease'>> => {
  const { engine, memory } = context
  const { increment } = decision
  const isSeen = ({ instance }: { readonly instance?: string | undefined }): boolean => context.grant.sees(instance)
  const here = {
    engine: engine.identity.name,
    server: await identify(decision, context, log, onLogin),
    options: decision.options?.name,
  }
  const server = recordedServer(here.server)
  if (increment === undefined) return { server }
  const base = findBase(increment, increment.baseSid === undefined ? [] : (await memory.all()).filter(isSeen), here)
  return { server, base, what: `an incremental backup since LSN ${base.lsn}`, requested: requestedUpon(base) }
}

/** As the history remembers it: `base-sid` is the session that was built upon. */
const requestedUpon = ({ lsn, known }: IncrementalBase): NonNullable<BackupPlan['requested']> => ({
  'backup-level': 1,
  'incremental-lsn': lsn,
  ...(known === undefined ? {} : { 'base-sid': known.sid, 'base-job': known.job }),
})

const identify = async (
  decision: BackupDecision,
  { engine, server }: SessionContext,
  log: Logger,
  onLogin: () => void,
): Promise<ServerIdentity> => {
  const facts =
    server === undefined
      ? undefined
      : await askServer(loginOf(decision, server), decision.increment !== undefined, log, onLogin)
  const data = await engine.dataIdentity?.(facts?.dataDirectory)
  return { uuid: facts?.serverUuid, data, lsn: facts?.lsn }
}

const askServer = async (
  login: ServerLogin,
  isUponBase: boolean,
  log: Logger,
  onLogin: () => void,
): Promise<ServerFacts | undefined> => {
  try {
    const server = await connectServer(login, PATIENCE)
    onLogin()
    try {
      return await server.facts()
    } finally {
      await server.close()
    }
  } catch (error) {
    if (isUponBase && error instanceof BackupError && error.code === 'ENGINE_LOGIN') throw error
    const { code, message } = error as Partial<BackupError>
    log.debug({ code }, `the server does not say which one it is: ${message}`)
    return undefined
  }
}
