/**
 * One connection: a request in, an answer and perhaps a backup out.
 *
 *     request ─▶ decision ─┬▶ FAILED block, in place of READY   FIN
 *                          ├▶ READY, OK block                   FIN
 *                          ├▶ READY, blocks: `questions.ts`     FIN
 *                          ├▶ READY, blocks: `monitor.ts`       FIN
 *                          └▶ a backup: `backup-session.ts`
 *
 * Never throws: whatever happens is told to the client and the log.
 */

import type { Socket } from 'node:net'

import type { OptionSet } from '../config/index.ts'
import { BackupError } from '../errors/index.ts'
import type { Wait } from '../flow/index.ts'
import type { ServerDebts } from '../history/index.ts'
import type { BackupJob, BackupOrder, JobMemory, WatchLimits } from '../jobs/index.ts'
import type { Logger } from '../log/index.ts'
import { type AgentRequest, type CopyRequest, readRequest, writeReady, writeStatus } from '../protocol/index.ts'
import { serveBackup } from './backup-session.ts'
import { serveBinaryLogs } from './binary-logs-session.ts'
import { chooseInstance } from './choose-instance.ts'
import type { Visitor } from './connection-gate.ts'
import { DECIDE_NOTHING } from './ignored-keys.ts'
import type { Instance, Instances } from './instances.ts'
import { isWrongLogin } from './login-penalties.ts'
import { monitorBlocks } from './monitor.ts'
import { findOrigin } from './origin.ts'
import { decide } from './policy.ts'
import { answerQuestion } from './questions.ts'
import { receiveRequest } from './receive-request.ts'
import { finish, refuse, whenGone } from './send.ts'
import { readServerWishes, serverSideOf } from './server-wishes.ts'

/** What all sessions of an agent share; and the one server that is meant, once that is known. */
export interface SessionContext extends Instance {
  readonly instances: Instances
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
  readonly makeSid: () => string
  readonly makeId: () => string
  /** A monotonic clock, milliseconds. */
  readonly nowMs: () => number
  /** On that clock, when the agent began to listen. */
  readonly startedMs: number
  readonly wait: Wait
  /** Aborts when the agent ends: what is left to do is done at once. */
  readonly hurry: AbortSignal
  /** Jobs that run now, so that the agent can cancel them. */
  readonly jobs: Set<BackupJob>
}

/** The other side of a session. */
export interface Connection {
  readonly socket: Socket
  /** Aborts when nothing can be sent any more. */
  readonly gone: AbortSignal
  /** `192.0.2.7:51234` */
  readonly peer: string
  readonly visitor: Visitor
}

/** Serves one connection to its end. */
export const serveSession = async (
  socket: Socket,
  peer: string,
  visitor: Visitor,
  agent: SessionContext,
  log: Logger,
): Promise<void> => {
  const connection = { socket, peer, visitor, gone: whenGone(socket) }
  const answer = async (blocks: readonly Buffer[]): Promise<void> => {
    const sent = finish(socket, blocks)
    visitor.left(socket)
    await sent
  }
  let sid: string | undefined
  try {
    // From the first moment of the connection, which may have had to wait.
    const leftMs = Math.max(agent.requestDeadlineMs - visitor.waitedMs, LEAST_REQUEST_MS)
    const { version, block } = await receiveRequest(socket, leftMs, agent.hurry)
    socket.resume() // nothing more is expected, but a reset is only noticed by who reads
    const request = readRequest(block, version)
    visitor.known()
    if (visitor.mayLog('request')) log.info({ action: request.action, version: version.text }, 'request')
    const context = isForBackup(request) ? { ...agent, ...chooseInstance(request.pairs, agent.instances) } : agent
    if (isForBackup(request)) noteIgnored(request, log)
    const decision = decide(request, version, { ...context, hasServer: context.server !== undefined })
    sid = 'sid' in decision ? decision.sid : undefined
    switch (decision.kind) {
      case 'nothing':
        await answer([writeReady(), writeStatus({ status: 'OK', msg: decision.msg, sid: decision.sid })])
        return
      case 'question':
        await answer(await answerQuestion(decision.question, context, peer))
        return
      case 'monitor':
        await answer(monitorBlocks(await context.memory.all(), decision.wanted))
        return
      case 'backup': {
        const serverSide = serverSideOf(decision, readServerWishes(request), context)
        const origin = await findOrigin(decision, context, log)
        await serveBackup(connection, decision, context, log, { serverSide, ...origin })
        return
      }
      case 'binary-logs':
        await serveBinaryLogs(connection, decision, readServerWishes(request), context, log)
        return
    }
  } catch (error) {
    if (isWrongLogin(error)) visitor.failedLogin()
    if (!(error instanceof BackupError)) log.error({ err: error, sid }, 'bug in a session')
    else if (visitor.mayLog(error.code)) {
      log.warn({ code: error.code, facts: error.facts, sid }, `refused: ${error.message}`)
    }
    const told = refuse(socket, error, sid)
    visitor.left(socket)
    await told
  } finally {
    visitor.left(socket)
  }
}

/** Who had to wait for its turn has its request in the socket already. */
const LEAST_REQUEST_MS = 1000

/** Only these mean a server; the others of a run are answered without one. */
const isForBackup = (request: AgentRequest): request is CopyRequest =>
  request.action === 'copy from' && (request.startsBackup || request.level === 'incremental')

/** Somebody may wonder why it had no effect. Values are not logged: they are the client's whole configuration. */
const noteIgnored = ({ pairs }: CopyRequest, log: Logger): void => {
  const ignored = [...pairs].flatMap(([key, value]) => (value !== '' && DECIDE_NOTHING.has(key) ? [key] : []))
  if (ignored.length > 0) log.debug({ ignored }, 'keys of the request that decide nothing here')
}
