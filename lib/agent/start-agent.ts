/**
 * Starts an agent that listens on a port of its own, and hands back the means to stop it.
 *
 * What an agent consists of: `agent.ts`. Here is only how connections come to it.
 */

import { type AgentSettings, DEFAULT_HOST, DEFAULT_PORT, PRODUCT } from '../config/index.ts'
import type { EngineIdentity } from '../engines/index.ts'
import { type Logger, silentLogger } from '../log/index.ts'
import { AGENT_PROTOCOL_VERSION } from '../protocol/index.ts'
import { Agent } from './agent.ts'
import { type Listener, listen } from './listener.ts'

/** Strangers and monitors come and go beside the one backup; far more than that is a flood. */
const MAX_CONNECTIONS = 256

export interface RunningAgent {
  readonly host: string
  readonly port: number
  readonly engine: EngineIdentity
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
 * @throws BackupError `ENGINE_NOT_FOUND`, `ENGINE_UNUSABLE`, `HISTORY_*`, `AGENT_LISTEN`
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
): Promise<RunningAgent> => {
  const agent = await Agent.open(settings, log)
  const listener = await openListener(agent, settings, log).catch(async (error: unknown) => {
    await agent.stop()
    throw error
  })
  const { host, port } = listener
  log.info({ host, port, protocol: AGENT_PROTOCOL_VERSION, product: PRODUCT }, 'listening')

  let stopped: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    await agent.drain()
    listener.close() // until now whoever waits for the backup could ask how it is, and cancel it
    await agent.stop()
    log.info('stopped')
  }
  return {
    host,
    port,
    engine: agent.engine,
    cancel: (reason) => agent.cancel(reason),
    stop: () => {
      stopped ??= stop()
      return stopped
    },
  }
}

const openListener = (agent: Agent, settings: Partial<AgentSettings>, log: Logger): Promise<Listener> => {
  const { host = DEFAULT_HOST, port = DEFAULT_PORT } = settings
  return listen({
    host,
    port,
    maxConnections: MAX_CONNECTIONS,
    onConnection: (socket) => void agent.serve(socket),
    onDropped: () => log.warn({ maxConnections: MAX_CONNECTIONS }, 'connection dropped: too many at the same time'),
    onTrouble: (errno) => log.warn({ errno }, 'the system hands over no connections; what runs goes on'),
  })
}
