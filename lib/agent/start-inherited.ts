/**
 * Runs an agent behind a door that inetd opened; or says there why it cannot run.
 *
 *     a socket that listens ─▶ Agent.open ─┬▶ serve whoever comes ─▶ nobody is left ─▶ stop
 *                                          └▶ failed: `refuseAll` ─▶ a FAILED block in place of READY, for everybody
 *     one connection ─▶ Agent.late ─▶ serve it: a greeting is answered before anything was opened ─▶ stop
 *
 * Why a failure is told, and how: `cannot-start.ts`.
 */

import type { Socket } from 'node:net'

import { type AgentSettings, DEFAULT_SECONDS } from '../config/index.ts'
import { type Logger, silentLogger } from '../log/index.ts'
import { Agent } from './agent.ts'
import { cannotStart } from './cannot-start.ts'
import { ConnectionGate } from './connection-gate.ts'
import type { InheritedDoor } from './inherited-door.ts'
import { receiveRequest } from './receive-request.ts'
import { refuse } from './send.ts'
import { connectionsOf } from './start-agent.ts'

export interface InheritedAgent {
  /**
   * Resolves when nobody is left to be served and nothing of the agent is left. Rejects when it could not be opened for
   * the one who came; they were told.
   */
  readonly ended: Promise<void>
  /** As `RunningAgent.stop`. */
  stop(): Promise<void>
  /** As `RunningAgent.cancel`. */
  cancel(reason: string): void
  /** Breaks every connection off by a reset, now: this process is about to die of a bug. */
  breakOff(): void
}

export interface InheritedOptions {
  readonly idleSeconds: number
  readonly log: Logger
  /** What is to be done before the agent opens anything, and is not worth its time for a greeting. */
  beforeOpening(): Promise<void>
}

/** @throws BackupError as `Agent.open`: then nobody has been served, and `refuseAll` can say so */
export const startInherited = async (
  door: InheritedDoor,
  settings: Partial<AgentSettings>,
  { idleSeconds, log, beforeOpening }: InheritedOptions,
): Promise<InheritedAgent> => {
  const agent = await Agent.late(settings, log, beforeOpening)
  if (door.kind === 'listening') await agent.openNow()
  const serving = door.serve((socket) => agent.serve(socket), {
    ...connectionsOf(agent.gate, log),
    idleMs: idleSeconds * 1000,
  })
  log.debug({ door: door.kind }, 'serving')
  const ended = serving.finally(() => agent.stop()).then(() => agent.throwIfBroken())
  ended.catch(() => undefined) // whoever waits for it is told
  return {
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
