/**
 * Starts an agent that listens, and hands back the means to stop it.
 *
 *     a port of its own, or sockets on which the service manager listens already
 *
 * What an agent consists of: `agent.ts`. Here is only how connections come to it.
 */

import type { Socket } from 'node:net'

import { type AgentSettings, DEFAULT_HOST, DEFAULT_PORT, PRODUCT } from '../config/index.ts'
import type { EngineIdentity } from '../engines/index.ts'
import { type Logger, silentLogger } from '../log/index.ts'
import { AGENT_PROTOCOL_VERSION } from '../protocol/index.ts'
import { Agent } from './agent.ts'
import { type ConnectionOptions, type Listener, listen } from './listener.ts'
import { listenOnDescriptor } from './listener-inherited.ts'

/** Strangers and monitors come and go beside the one backup; far more than that is a flood. */
const MAX_CONNECTIONS = 256

export interface RunningAgent {
  readonly host: string
  readonly port: number
  readonly engine: EngineIdentity
  /** Whether connections are accepted; false also when somebody has waited since it was asked last. */
  isAccepting(): Promise<boolean>
  /**
   * Takes no new work, lets a running backup end, cancels it when `drainSeconds` are over. Until it has ended,
   * questions are answered, and backups refused with `JOB_DRAINING`.
   * Resolves when nothing of the agent is left. Idempotent.
   */
  stop(): Promise<void>
  /** Cancels the running backup now; its client sees a reset. */
  cancel(reason: string): void
}

/**
 * @param settings what differs from the defaults
 * @param descriptors of sockets that listen already; with any of them `host` and `port` of the settings mean nothing
 * @throws BackupError `ENGINE_NOT_FOUND`, `ENGINE_UNUSABLE`, `HISTORY_*`, `AGENT_LISTEN`, `AGENT_DESCRIPTOR`
 * @example
 *   import { startAgent } from 'kv-backup-agent'
 *
 *   const agent = await startAgent({ port: 0, engine: 'directory', directory: 'snapshot' })
 *   console.log(`listening on ${agent.host}:${agent.port}`)
 *   await agent.stop()
 */
export const startAgent = async (
  settings: Partial<AgentSettings> = {},
  log: Logger = silentLogger(),
  descriptors: readonly number[] = [],
): Promise<RunningAgent> => {
  const agent = await Agent.open(settings, log)
  const listeners: Listener[] = []
  const close = async (): Promise<void> => {
    for (const listener of listeners) listener.close()
    await agent.stop()
  }
  try {
    const options = { ...connectionsOf(log), onConnection: (socket: Socket) => void agent.serve(socket) }
    for (const descriptor of descriptors) listeners.push(await listenOnDescriptor(descriptor, options))
    const { host = DEFAULT_HOST, port = DEFAULT_PORT } = settings
    if (descriptors.length === 0) listeners.push(await listen({ host, port, ...options }))
  } catch (error) {
    await close()
    throw error
  }
  for (const { host, port } of listeners) {
    log.info({ host, port, protocol: AGENT_PROTOCOL_VERSION, product: PRODUCT }, 'listening')
  }

  let stopped: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    await agent.drain()
    await close() // until now whoever waits for the backup could ask how it is, and cancel it
    log.info('stopped')
  }
  const { host, port } = listeners[0] as Listener
  return {
    host,
    port,
    engine: agent.engine,
    isAccepting: async () => (await Promise.all(listeners.map((listener) => listener.isAccepting()))).every(Boolean),
    cancel: (reason) => agent.cancel(reason),
    stop: () => {
      stopped ??= stop()
      return stopped
    },
  }
}

/** What is said of connections that cannot be served, whichever socket they come from. */
export const connectionsOf = (log: Logger): Omit<ConnectionOptions, 'onConnection'> => ({
  maxConnections: MAX_CONNECTIONS,
  onDropped: () => log.warn({ maxConnections: MAX_CONNECTIONS }, 'connection dropped: too many at the same time'),
  onTrouble: (errno) => log.warn({ errno }, 'the system hands over no connections; what runs goes on'),
})
