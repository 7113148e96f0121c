/**
 * Runs an agent behind a door that inetd opened; or says there why it cannot run.
 *
 *     openDoor ─▶ Agent.open ─┬▶ serve whoever comes ─▶ nobody is left ─▶ stop
 *                             └▶ failed: `refuseAll` ─▶ a FAILED block in place of READY, for everybody
 *
 * A client of 0.76 that is simply hung up on learns nothing, and inetd starts the next
 * process into the same failure; so the failure is told, in the words of the log.
 */

import type { Socket } from 'node:net'

import { type AgentSettings, DEFAULT_SECONDS } from '../config/index.ts'
import type { EngineIdentity } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { type Logger, silentLogger } from '../log/index.ts'
import { Agent } from './agent.ts'
import { ConnectionGate } from './connection-gate.ts'
import type { InheritedDoor } from './inherited-door.ts'
import { receiveRequest } from './receive-request.ts'
import { refuse } from './send.ts'
import { connectionsOf } from './start-agent.ts'

export interface InheritedAgent {
  readonly engine: EngineIdentity
  /** Resolves when nobody is left to be served and nothing of the agent is left. */
  readonly ended: Promise<void>
  /** As `RunningAgent.stop`. */
  stop(): Promise<void>
  /** As `RunningAgent.cancel`. */
  cancel(reason: string): void
  /** Breaks every connection off by a reset, now: this process is about to die of a bug. */
  breakOff(): void
}

/** @throws BackupError as `Agent.open`: then nobody has been served, and `refuseAll` can say so */
export const startInherited = async (
  door: InheritedDoor,
  settings: Partial<AgentSettings>,
  idleSeconds: number,
  log: Logger,
): Promise<InheritedAgent> => {
  const agent = await Agent.open(settings, log)
  const serving = door.serve((socket) => agent.serve(socket), {
    ...connectionsOf(agent.gate, log),
    idleMs: idleSeconds * 1000,
  })
  log.debug({ door: door.kind }, 'serving')
  const ended = serving.finally(() => agent.stop())
  ended.catch(() => undefined) // whoever waits for it is told
  return {
    engine: agent.engine,
    ended,
    stop: async () => {
      await agent.drain()
      door.close() // as in `start-agent.ts`
      await agent.stop()
    },
    cancel: (reason) => agent.cancel(reason),
    breakOff: () => agent.breakOff(),
  }
}

/** How long a broken agent goes on refusing, so that inetd does not start one after the other. */
const REFUSE_IDLE_MS = 5_000

/** Tells everybody at the door why there is no agent. Never rejects; does nothing when the door was served. */
export const refuseAll = async (door: InheritedDoor, error: unknown): Promise<void> => {
  const never = new AbortController().signal
  const refuseOne = async (socket: Socket): Promise<void> => {
    // Bytes that nobody has read would turn our FIN into a reset, and the block could be lost with it.
    const heard = receiveRequest(socket, DEFAULT_SECONDS.request * 1000, never)
    await heard.catch(() => undefined)
    socket.resume()
    await refuse(socket, cannotStart(error), undefined)
  }
  const log = silentLogger()
  const gate = new ConnectionGate(log)
  const serveOne = async (socket: Socket): Promise<void> => {
    if (gate.admit(socket) !== undefined) await refuseOne(socket)
  }
  await door.serve(serveOne, { ...connectionsOf(gate, log), idleMs: REFUSE_IDLE_MS }).catch(() => undefined)
}

const cannotStart = (error: unknown): unknown => {
  if (!(error instanceof BackupError)) return error
  const { code, message, hint, facts } = error
  return new BackupError(
    code,
    `the agent cannot start: ${message}`,
    facts,
    hint === undefined ? { cause: error } : { cause: error, hint },
  )
}
