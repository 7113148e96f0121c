/**
 * Starts an agent and hands back the means to stop it.
 *
 * This is where the parts meet: settings, the engine that was found, admission, the
 * listener. No decision about a request or a backup is made here.
 */

import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

import {
  type AgentSettings,
  DEFAULT_HOST,
  DEFAULT_MEMORY_BYTES,
  DEFAULT_PORT,
  DEFAULT_SECONDS,
  DEFAULT_SPILL_BYTES,
  DEFAULT_SPOOL_BYTES,
  DEFAULT_SPOOL_DIRECTORY,
  type Deadlines,
  PRODUCT,
  SPILL_MEMORY_BYTES,
} from '../config/index.ts'
import { type EngineIdentity, findEngine, hostGuards } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { Journal } from '../history/index.ts'
import { Admission, type BackupJob, JobMemory } from '../jobs/index.ts'
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
  const runtime = await makeRuntimeDirectory()
  let memory: JobMemory | undefined
  try {
    memory = await openMemory(settings.stateDirectory, log)
    return await startIn(runtime, memory, settings, log)
  } catch (error) {
    await memory?.close()
    await runtime.remove()
    throw error
  }
}

/** Jobs that an agent left behind which is gone are ended here, as interrupted. */
const openMemory = async (directory: string | undefined, log: Logger): Promise<JobMemory> => {
  if (directory === undefined) return new JobMemory(undefined, log, Date.now)
  const journal = await Journal.open({ directory, now: Date.now, newId: randomUUID })
  for (const { job, sid } of await journal.markInterrupted()) {
    log.warn({ job, sid }, 'a backup of an earlier run was interrupted: its agent ended in the middle')
  }
  await journal.compactWhenDue()
  return new JobMemory(journal, log, Date.now)
}

const startIn = async (
  runtime: RuntimeDirectory,
  memory: JobMemory,
  settings: Partial<AgentSettings>,
  log: Logger,
): Promise<RunningAgent> => {
  const { host = DEFAULT_HOST, port = DEFAULT_PORT, stateDirectory } = settings
  const { directory, socket, defaultsFile, datadir, engine: choice = 'auto' } = settings
  const seconds: Deadlines = { ...DEFAULT_SECONDS, ...settings.seconds }
  const engine = await findEngine({
    engine: choice,
    runtimeDirectory: runtime.path,
    ...(stateDirectory === undefined ? {} : { lockDirectory: stateDirectory }),
    ...(directory === undefined ? {} : { directory }),
    ...(socket === undefined ? {} : { socket }),
    ...(defaultsFile === undefined ? {} : { defaultsFile }),
    ...(datadir === undefined ? {} : { datadir }),
  })

  const spoolDirectory = settings.spoolDirectory ?? DEFAULT_SPOOL_DIRECTORY
  const nowMs = (): number => performance.now()
  const hurry = new AbortController()
  const context: SessionContext = {
    engine,
    admission: new Admission(),
    memory,
    product: PRODUCT,
    loginRequired: engine.needsLogin && defaultsFile === undefined,
    hasXbstream: engine.identity.name !== 'directory',
    requestDeadlineMs: seconds.request * 1000,
    receiptMs: seconds.receipt * 1000,
    networkMs: seconds.network * 1000,
    limits: watchLimits(seconds),
    memoryBytes: settings.memoryBytes ?? DEFAULT_MEMORY_BYTES,
    spool: { directory: spoolDirectory, maxBytes: settings.spoolBytes ?? DEFAULT_SPOOL_BYTES },
    spill: {
      memoryBytes: SPILL_MEMORY_BYTES,
      disk: { directory: spoolDirectory, maxBytes: settings.spillBytes ?? DEFAULT_SPILL_BYTES },
    },
    makeSid: randomUUID,
    makeId: randomUUID,
    nowMs,
    startedMs: nowMs(),
    wait: async (milliseconds, signal) => {
      await delay(milliseconds, undefined, { signal }).catch(() => undefined)
    },
    hurry: hurry.signal,
    jobs: new Set<BackupJob>(),
  }
  const sockets = new Set<Socket>()
  const sessions = new Set<Promise<void>>()
  const listener = await listen({
    host,
    port,
    maxConnections: MAX_CONNECTIONS,
    onConnection: (connected) => {
      sockets.add(connected)
      connected.once('close', () => sockets.delete(connected))
      const peer = `${connected.remoteAddress ?? '?'}:${connected.remotePort ?? '?'}`
      const session = serveSession(connected, peer, context, log.child({ peer })).finally(() =>
        sessions.delete(session),
      )
      sessions.add(session)
    },
    onDropped: () => log.warn({ maxConnections: MAX_CONNECTIONS }, 'connection dropped: too many at the same time'),
  })
  const { name, version, program } = engine.identity
  log.info({ engine: name, version, program }, 'engine')
  if (program !== undefined) sayGuards(log)
  log.info(
    { host: listener.host, port: listener.port, protocol: AGENT_PROTOCOL_VERSION, product: PRODUCT },
    'listening',
  )

  const cancelAll = (error: BackupError): void => {
    for (const job of context.jobs) job.cancel(error)
  }
  let stopped: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    listener.close()
    if (context.jobs.size > 0) log.info({ drainSeconds: seconds.drain }, 'stopping: waiting for the running backup')
    let deadline: NodeJS.Timeout | undefined
    const tooLate = new Promise<void>((resolve) => {
      deadline = setTimeout(() => {
        cancelAll(drainTimeout(seconds.drain))
        resolve()
      }, seconds.drain * 1000)
    })
    await context.admission.drain()
    // A complete backup waits for its client's word; the others are gone.
    await Promise.race([Promise.all([...context.jobs].map((job) => job.closed)), tooLate])
    clearTimeout(deadline)
    hurry.abort()
    await Promise.allSettled(sessions)
    for (const open of sockets) open.destroySoon()
    await memory.close()
    await runtime.remove()
    log.info('stopped')
  }
  return {
    host: listener.host,
    port: listener.port,
    engine: engine.identity,
    cancel: (reason) => {
      cancelAll(new BackupError('JOB_CANCELLED', reason))
      hurry.abort()
    },
    stop: () => {
      stopped ??= stop()
      return stopped
    },
  }
}

const drainTimeout = (drainSeconds: number): BackupError =>
  new BackupError(
    'JOB_DRAIN_TIMEOUT',
    `the agent is shutting down and waited ${drainSeconds} s for the backup`,
    { drainSeconds },
    { hint: 'ask again when the agent is back; --drain-seconds allows for more' },
  )

const watchLimits = ({ start, lockWait, hang, locked, stall }: Deadlines): SessionContext['limits'] => ({
  startMs: start * 1000,
  lockWaitMs: lockWait * 1000,
  hangMs: hang * 1000,
  lockedHangMs: locked * 1000,
  lockedStallMs: locked * 1000,
  lockedWaitMs: locked * LOCKED_WAITS * 1000,
  stallMs: stall * 1000,
})

/** A receiver that takes a byte now and then may hold the locks for so many times the limit, in all. */
const LOCKED_WAITS = 6

/** What the host can do for us is known from the start, and said once. */
const sayGuards = (log: Logger): void => {
  const guards = hostGuards()
  if (guards.pdeathsig && guards.lock) log.debug(guards, 'host')
  else log.warn(guards, 'setpriv or flock (util-linux) is missing: a killed agent may leave its backup program running')
}
