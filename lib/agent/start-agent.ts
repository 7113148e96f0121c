/**
 * Starts an agent and hands back the means to stop it.
 *
 * This is where the parts meet: settings, the engine that was found, admission, the
 * listener. No decision about a request or a backup is made here.
 */

import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'

import {
  type AgentSettings,
  DEFAULT_DRAIN_SECONDS,
  DEFAULT_HOST,
  DEFAULT_MEMORY_BYTES,
  DEFAULT_PORT,
  DEFAULT_REQUEST_SECONDS,
  DEFAULT_SPOOL_BYTES,
  DEFAULT_SPOOL_DIRECTORY,
  PRODUCT,
} from '../config/index.ts'
import { type EngineIdentity, findEngine } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { Admission, type BackupJob } from '../jobs/index.ts'
import { type Logger, silentLogger } from '../log/index.ts'
import { AGENT_PROTOCOL_VERSION } from '../protocol/index.ts'
import { listen } from './listener.ts'
import { makeRuntimeDirectory, type RuntimeDirectory } from './runtime-directory.ts'
import { serveSession, type SessionContext } from './session.ts'

/** Strangers and monitors come and go beside the one backup; far more than that is a flood. */
const MAX_CONNECTIONS = 256

export interface RunningAgent {
  readonly host: string
  readonly port: number
  readonly engine: EngineIdentity
  /**
   * Takes no new work, lets a running backup end, cancels it when `drainSeconds` are over.
   * Resolves when nothing of the agent is left. Idempotent.
   */
  stop(): Promise<void>
  /** Cancels the running backup now; its client sees a reset. */
  cancel(reason: string): void
}

/**
 * @param settings what differs from the defaults
 * @throws BackupError `ENGINE_NOT_FOUND`, `ENGINE_UNUSABLE`, `AGENT_LISTEN`
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
  const runtime = await makeRuntimeDirectory()
  try {
    return await startIn(runtime, settings, log)
  } catch (error) {
    await runtime.remove()
    throw error
  }
}

const startIn = async (
  runtime: RuntimeDirectory,
  settings: Partial<AgentSettings>,
  log: Logger,
): Promise<RunningAgent> => {
  const { host = DEFAULT_HOST, port = DEFAULT_PORT, drainSeconds = DEFAULT_DRAIN_SECONDS } = settings
  const { directory, socket, defaultsFile, datadir, engine: choice = 'auto' } = settings
  const engine = await findEngine({
    engine: choice,
    runtimeDirectory: runtime.path,
    ...(directory === undefined ? {} : { directory }),
    ...(socket === undefined ? {} : { socket }),
    ...(defaultsFile === undefined ? {} : { defaultsFile }),
    ...(datadir === undefined ? {} : { datadir }),
  })

  const hurry = new AbortController()
  const context: SessionContext = {
    engine,
    admission: new Admission(),
    product: PRODUCT,
    loginRequired: engine.needsLogin && defaultsFile === undefined,
    requestDeadlineMs: (settings.requestSeconds ?? DEFAULT_REQUEST_SECONDS) * 1000,
    memoryBytes: settings.memoryBytes ?? DEFAULT_MEMORY_BYTES,
    spool: {
      directory: settings.spoolDirectory ?? DEFAULT_SPOOL_DIRECTORY,
      maxBytes: settings.spoolBytes ?? DEFAULT_SPOOL_BYTES,
    },
    makeSid: randomUUID,
    hurry: hurry.signal,
    jobs: new Set<BackupJob>(),
  }
  const sockets = new Set<Socket>()
  const sessions = new Set<Promise<void>>()
  const listener = await listen({
    host,
    port,
    maxConnections: MAX_CONNECTIONS,
    onConnection: (socket) => {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      const peer = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? '?'}`
      const session = serveSession(socket, context, log.child({ peer })).finally(() => sessions.delete(session))
      sessions.add(session)
    },
    onDropped: () => log.warn({ maxConnections: MAX_CONNECTIONS }, 'connection dropped: too many at the same time'),
  })
  const { name, version, program } = engine.identity
  log.info({ engine: name, version, program }, 'engine')
  log.info(
    { host: listener.host, port: listener.port, protocol: AGENT_PROTOCOL_VERSION, product: PRODUCT },
    'listening',
  )

  const cancel = (reason: string): void => {
    for (const job of context.jobs) job.cancel(new BackupError('JOB_CANCELLED', reason))
  }
  let stopped: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    listener.close()
    const drained = context.admission.drain()
    const deadline = setTimeout(
      () => cancel(`the agent is shutting down and waited ${drainSeconds} s`),
      drainSeconds * 1000,
    )
    if (context.jobs.size > 0) log.info({ drainSeconds }, 'stopping: waiting for the running backup')
    await drained
    clearTimeout(deadline)
    hurry.abort()
    await Promise.allSettled(sessions)
    for (const socket of sockets) socket.destroySoon()
    await runtime.remove()
    log.info('stopped')
  }
  return {
    host: listener.host,
    port: listener.port,
    engine: engine.identity,
    cancel,
    stop: () => {
      stopped ??= stop()
      return stopped
    },
  }
}
