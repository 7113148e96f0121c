/**
 * One connection: a request in, an answer and perhaps a backup out.
 *
 *     request ─┬▶ FAILED block, in place of READY   FIN
 *              ├▶ a greeting: READY, OK block       FIN
 *              └▶ the agent is open ─▶ who may? ─▶ decision ─┬▶ FAILED block, in place of READY   FIN
 *                                                            ├▶ READY, OK block                   FIN
 *                                                            ├▶ READY, blocks: `questions.ts`     FIN
 *                                                            ├▶ READY, blocks: `monitor.ts`       FIN
 *                                                            └▶ a backup: `backup-request.ts`
 *
 * Never throws: whatever happens is told to the client and the log.
 */

import type { OptionSet } from '../config/index.ts'
import { BackupError } from '../errors/index.ts'
import type { Wait } from '../flow/index.ts'
import type { ServerDebts } from '../history/index.ts'
import type { BackupJob, BackupOrder, JobMemory, WatchLimits } from '../jobs/index.ts'
import type { Logger } from '../log/index.ts'
import { type CopyRequest, readRequest, writeReady, writeStatus } from '../protocol/index.ts'
import type { Access, Asked, Grant } from './access.ts'
import { chooseInstance, meansServer } from './choose-instance.ts'
import type { Visitor } from './connection-gate.ts'
import { DECIDE_NOTHING } from './ignored-keys.ts'
import type { Instance, Instances } from './instance.ts'
import { monitorBlocks } from './monitor.ts'
import { type TriedLogin, uniformRefusal } from './login-refusal.ts'
import type { LoginTrial } from './login-trial.ts'
import { decide } from './policy.ts'
import { answerQuestion, pong } from './questions.ts'
import { receiveRequest } from './receive-request.ts'
import type { CallerChannel } from './roles.ts'
import type { Channel } from './secure-connection.ts'
import { finish, refuse, whenGone } from './send.ts'
import { takeToken } from './take-token.ts'

/** What all sessions of an agent share; and the one server that is meant, once that is known. */
export interface SessionContext extends Instance {
  readonly instances: Instances
  /** Undefined: there are no roles, and everybody may ask everything. */
  readonly access: Access | undefined
  /** What a client may choose by name. */
  readonly optionSets: Readonly<Record<string, OptionSet>>
  readonly memory: JobMemory
  readonly product: string
  /** What is owed to servers, where that is remembered. */
  readonly debts?: ServerDebts | undefined
  readonly requestDeadlineMs: number
  /** How long a client may take to make a complete backup durable. */
  readonly receiptMs: number
  /** How long a client's machine may leave everything unanswered. */
  readonly networkMs: number
  readonly limits: WatchLimits
  readonly memoryBytes: number
  readonly spool: { readonly directory: string; readonly maxBytes: number }
  readonly spill: BackupOrder['spill']
  /** Ours alone: see `runtime-directory.ts`. */
  readonly runtimeDirectory: string
  readonly makeSid: () => string
  readonly makeId: () => string
  /** A monotonic clock, milliseconds. */
  readonly nowMs: () => number
  /** On that clock, when the agent began to listen. */
  readonly startedMs: number
  readonly wait: Wait
  /** Aborts when the agent ends: what is left to do is done at once. */
  readonly hurry: AbortSignal
  /** Who asks in this session, and what of the agent's backups it may hear of. Everything, until that is known. */
  readonly grant: Grant
  /** Jobs that run now, so that the agent can cancel them. */
  readonly jobs: Set<BackupJob>
}

/** What a session knows of the agent before it knows what is wanted. */
export interface Reception {
  readonly product: string
  readonly requestDeadlineMs: number
  /** Aborts when the agent ends: who has asked for nothing yet is not waited for. */
  readonly hurry: AbortSignal
  /** Looks whether the agent could be opened, as far as that shows from outside. @throws BackupError why not */
  look(): Promise<void>
  /** @throws BackupError why the agent cannot be opened */
  open(): Promise<SessionContext>
}

/** The other side of a session. */
export interface Connection extends Channel {
  /** Aborts when nothing can be sent any more. */
  readonly gone: AbortSignal
  /** `192.0.2.7:51234` */
  readonly peer: string
  readonly visitor: Visitor
  /** The client's own login at the database, where it has one to try. */
  readonly login?: LoginTrial | undefined
}

/**
 * Serves one connection to its end.
 *
 * @param elapsedMs how much of the time for its request is over
 */
export const serveSession = async (
  channel: Channel,
  peer: string,
  visitor: Visitor,
  reception: Reception,
  log: Logger,
  elapsedMs = 0,
): Promise<void> => {
  const { socket, certificateNames } = channel
  const connection = { ...channel, peer, visitor, gone: whenGone(socket) }
  const answer = async (blocks: readonly Buffer[]): Promise<void> => {
    const sent = finish(socket, blocks)
    visitor.left(socket)
    await sent
  }
  let sid: string | undefined
  let login: TriedLogin = {}
  try {
    const { requestDeadlineMs, hurry } = reception
    const { version, block } = await receiveRequest(socket, requestDeadlineMs, hurry, requestDeadlineMs - elapsedMs)
    visitor.heard()
    socket.resume() // nothing more is expected, but a reset is only noticed by who reads
    const { token, rest } = takeToken(block)
    const request = readRequest(rest, version)
    const who = certificateNames.length === 0 ? {} : { certificate: certificateNames }
    if (visitor.mayLog('request')) log.info({ action: request.action, version: version.text, ...who }, 'request')
    if (request.action === 'ping') {
      visitor.known()
      await reception.look()
      await answer(pong(reception.product))
      return
    }
    const agent = await reception.open()
    const grant = await grantFor({ request, token }, { address: visitor.address, certificateNames }, agent)
    visitor.known()
    noteCaller(grant, log)
    const context = { ...agent, ...(meansServer(request) ? chooseInstance(request.pairs, agent.instances) : {}), grant }
    if (meansServer(request)) noteIgnored(request, context.hostLogin, log)
    const decision = decide(request, version, { ...context, hasServer: context.server !== undefined })
    sid = 'sid' in decision ? decision.sid : undefined
    if ('user' in decision) login = decision
    switch (decision.kind) {
      case 'nothing':
        await answer([writeReady(), writeStatus({ status: 'OK', msg: decision.msg, sid: decision.sid })])
        return
      case 'question':
        await answer(await answerQuestion(decision.question, context, peer))
        return
      case 'monitor':
        await answer(monitorBlocks((await context.memory.all()).filter(seenBy(grant)), decision.wanted))
        return
      case 'backup':
      case 'binary-logs': {
        const { serveBackupRequest } = await import('./backup-request.ts') // only whoever wants one pays for it
        await serveBackupRequest(connection, decision, request, context, log)
        return
      }
    }
  } catch (error) {
    if (isDenied(error) && !(await visitor.deniedTurn(reception.hurry))) return
    if (!(error instanceof BackupError)) log.error({ err: error, sid }, 'bug in a session')
    else if (visitor.mayLog(error.code)) {
      log.warn({ code: error.code, facts: error.facts, sid }, `refused: ${error.message}`)
    }
    const told = refuse(socket, uniformRefusal(error, login), sid)
    visitor.left(socket)
    await told
  } finally {
    visitor.left(socket)
  }
}

/** Where there are no roles, nothing about them is loaded. @throws BackupError `AGENT_ACCESS_*` */
const grantFor = async (asked: Asked, channel: CallerChannel, { access, grant }: SessionContext): Promise<Grant> => {
  if (access === undefined) return grant
  const { authorise } = await import('./access.ts')
  return await authorise(asked, channel, access)
}

const isDenied = (error: unknown): boolean => error instanceof BackupError && error.code === 'AGENT_ACCESS_DENIED'

/** Which jobs a caller may hear of. */
export const seenBy =
  ({ sees }: Grant) =>
  ({ instance }: { readonly instance?: string | undefined }): boolean =>
    sees(instance)

/** Long enough to make a new token before the nightly run fails. */
const EXPIRES_SOON_MS = 14 * 24 * 3_600_000

const noteCaller = ({ caller, expiresMs }: Grant, log: Logger): void => {
  if (caller === undefined) return
  log.info({ caller }, 'authorised')
  if (expiresMs === undefined || expiresMs - Date.now() > EXPIRES_SOON_MS) return
  log.warn({ caller, expires: new Date(expiresMs).toISOString() }, 'the token of this client expires soon')
}

/** Somebody may wonder why it had no effect. Values are not logged: they are the client's whole configuration. */
const noteIgnored = ({ pairs }: CopyRequest, hostLogin: boolean, log: Logger): void => {
  const isIgnored = (key: string): boolean => DECIDE_NOTHING.has(key) || (hostLogin && LOGIN_KEYS.has(key))
  const ignored = [...pairs].flatMap(([key, value]) => (value !== '' && isIgnored(key) ? [key] : []))
  if (ignored.some((key) => LOGIN_KEYS.has(key))) {
    log.info('the client sends a login for the database, which is not used: this host has its own (host-login)')
  }
  if (ignored.length > 0) log.debug({ ignored }, 'keys of the request that decide nothing here')
}

const LOGIN_KEYS: ReadonlySet<string> = new Set(['user', 'password'])
