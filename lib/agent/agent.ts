/**
 * One agent: its servers, what it remembers, and the sessions that run. It is given sockets.
 *
 *     start-agent.ts   listens ──────────────▶┐
 *     other ways that connections come ──────▶├─ agent.serve(socket) ─▶ session.ts
 *                                             ┘
 *     stop   no new work ─▶ a running backup ends, or is cancelled when its time is over ─▶ nothing is left
 *
 * This is where the parts meet. No decision about a request or a backup is made here, and
 * how connections come is no business of this file.
 */

import { setMaxListeners } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

import { type AgentSettings, type ConnectionLimits, DEFAULT_SECONDS, DEFAULT_SPOOL_DIRECTORY } from '../config/index.ts'
import { type EngineIdentity, hostGuards } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { type ServerDebts, WISH_SIGNAL } from '../history/index.ts'
import type { BackupJob, JobMemory } from '../jobs/index.ts'
import { type Logger, silentLogger } from '../log/index.ts'
import { ConnectionGate, type Visitor } from './connection-gate.ts'
import { watchExpiry } from './expiry-watch.ts'
import { Admissions, allOf, openInstances } from './instances.ts'
import { openDebts, openMemory } from './open-memory.ts'
import { makeRuntimeDirectory, type RuntimeDirectory } from './runtime-directory.ts'
import { sayAccess } from './say-access.ts'
import { openSecurity, type Security, secure } from './secure-connection.ts'
import { serveSession, type SessionContext, timeLeft } from './session.ts'
import { makeSessionContext } from './session-context.ts'
import { checkLoginFiles, checkRuntimePlace, checkScratchPlace } from './trusted-places.ts'

/** Settings made ready to be used. */
export interface Prepared {
  readonly context: SessionContext
  readonly connections: Partial<ConnectionLimits>
  readonly security: Security
  readonly drainSeconds: number
}

export class Agent {
  readonly #runtime: RuntimeDirectory
  readonly #memory: JobMemory
  readonly #admissions = new Admissions()
  readonly #hurry = new AbortController()
  readonly #log: Logger
  /** Every connection passes there first. */
  readonly gate: ConnectionGate
  /** Open for as long as the agent lives, whatever settings say later. */
  readonly #stateDirectory: string | undefined
  #debts: ServerDebts | undefined
  #current: Prepared | undefined
  readonly #jobs = new Set<BackupJob>()
  readonly #startedMs = performance.now()
  readonly #sockets = new Set<Socket>()
  readonly #sessions = new Set<Promise<void>>()
  #drained: Promise<void> | undefined
  #stopped: Promise<void> | undefined

  private constructor(runtime: RuntimeDirectory, memory: JobMemory, settings: Partial<AgentSettings>, log: Logger) {
    this.#runtime = runtime
    this.#memory = memory
    this.#stateDirectory = settings.stateDirectory
    this.#log = log
    this.gate = new ConnectionGate(log)
    setMaxListeners(0, this.#hurry.signal) // every session listens, and their number is bounded where they come from
    if (memory.state !== 'off') process.on(WISH_SIGNAL, this.#onWish)
  }

  /**
   * @param settings what differs from the defaults
   * @throws BackupError `ENGINE_NOT_FOUND`, `ENGINE_UNUSABLE`, `ENGINE_DEFAULTS_FILE`, `SCRATCH_UNSAFE`, `HISTORY_*`,
   *   `AGENT_TLS_*`
   */
  static async open(settings: Partial<AgentSettings> = {}, log: Logger = silentLogger()): Promise<Agent> {
    await checkRuntimePlace()
    const runtime = await makeRuntimeDirectory()
    let memory: JobMemory | undefined
    try {
      memory = await openMemory(settings.stateDirectory, log)
      const agent = new Agent(runtime, memory, settings, log)
      agent.use(await agent.makeReady(settings))
      agent.#watchExpiry()
      return agent
    } catch (error) {
      await memory?.close()
      await runtime.remove()
      throw error
    }
  }

  /**
   * Makes everything ready that other settings need, and changes nothing yet.
   *
   * @throws BackupError `ENGINE_*`, `SCRATCH_UNSAFE`, `AGENT_TLS_*`: then the settings cannot be used
   */
  async makeReady(settings: Partial<AgentSettings>): Promise<Prepared> {
    const security = await openSecurity(settings, this.#log)
    const instances = await openInstances(settings, {
      runtimeDirectory: this.#runtime.path,
      lockDirectory: this.#stateDirectory,
      admissions: this.#admissions,
      allow: settings.allow,
    })
    await checkScratchPlace(settings.spoolDirectory ?? DEFAULT_SPOOL_DIRECTORY, '--spool-dir')
    await checkLoginFiles(allOf(instances).map(({ server }) => server?.defaultsFile))
    this.#debts ??= await openDebts(this.#stateDirectory, instances, this.#log)
    const context = makeSessionContext(settings, instances, {
      memory: this.#memory,
      debts: this.#debts,
      jobs: this.#jobs,
      hurry: this.#hurry.signal,
      startedMs: this.#startedMs,
    })
    const { connections = {}, seconds } = settings
    await sayAccess(context.access, settings.tokensFile, this.#log)
    return { context, security, connections, drainSeconds: seconds?.drain ?? DEFAULT_SECONDS.drain }
  }

  #watchExpiry(): void {
    void watchExpiry({
      warnings: (nowMs) => this.#ready.security.door?.warnings(nowMs) ?? [],
      nowMs: Date.now,
      wait: async (milliseconds, signal) => {
        await delay(milliseconds, undefined, { signal, ref: false }).catch(() => undefined)
      },
      signal: this.#hurry.signal,
      log: this.#log,
    })
  }

  /** From now on sessions get these settings; those that have begun keep theirs. Where the history is does not change. */
  use(prepared: Prepared): void {
    this.#current = prepared
    this.gate.use(prepared.connections)
    const all = allOf(prepared.context.instances)
    for (const { name: instance, engine } of all) {
      const { name, version, program } = engine.identity
      this.#log.info({ engine: name, version, program, instance }, 'engine')
    }
    if (all.some(({ engine }) => engine.identity.program !== undefined)) sayGuards(this.#log)
  }

  get #ready(): Prepared {
    if (this.#current === undefined) throw new Error('bug: an agent without settings')
    return this.#current
  }

  get engine(): EngineIdentity {
    return this.#ready.context.engine.identity
  }

  /**
   * Serves one connection, unless it is dropped. Resolves, and never rejects, when its session is over; its last bytes
   * may be on their way.
   */
  async serve(socket: Socket): Promise<void> {
    const visitor = this.gate.admit(socket)
    if (visitor === undefined) return
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    const session = this.#serve(socket, visitor).finally(() => this.#sessions.delete(session))
    this.#sessions.add(session)
    await session
  }

  async #serve(raw: Socket, visitor: Visitor): Promise<void> {
    if (!(await visitor.turn(this.#hurry.signal))) return
    const peer = `${visitor.address}:${raw.remotePort ?? '?'}`
    const log = this.#log.child({ peer })
    const { context, security } = this.#ready
    const startedMs = performance.now()
    const channel = await secure(raw, security, {
      deadlineMs: timeLeft(context, visitor),
      hurry: context.hurry,
      visitor,
      log,
    })
    if (channel === undefined) return
    await serveSession(channel, peer, visitor, context, log, performance.now() - startedMs)
  }

  /** Cancels what runs now; its clients see a reset, or the end of a framed stream. */
  cancel(reason: string): void {
    this.#cancelAll(new BackupError('JOB_CANCELLED', reason))
    this.#hurry.abort()
  }

  /** Breaks every connection off by a reset: for a process that is about to die of a bug. */
  breakOff(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  /**
   * Takes no new backup, lets the running one end, cancels it when the time for that is over. Connections that
   * come meanwhile are served: whoever waits for the backup may ask how it is, and cancel it. Idempotent: there is
   * one time to drain, however many wait for it.
   */
  drain(): Promise<void> {
    this.#drained ??= this.#drain()
    return this.#drained
  }

  async #drain(): Promise<void> {
    const jobs = this.#jobs
    const drainSeconds = this.#current?.drainSeconds ?? DEFAULT_SECONDS.drain
    if (jobs.size > 0) this.#log.info({ drainSeconds }, 'stopping: waiting for the running backup')
    let deadline: NodeJS.Timeout | undefined
    const tooLate = new Promise<void>((resolve) => {
      deadline = setTimeout(() => {
        this.#cancelAll(drainTimeout(drainSeconds))
        resolve()
      }, drainSeconds * 1000)
    })
    await this.#admissions.drain()
    // A complete backup waits for its client's word; the others are gone.
    await Promise.race([Promise.all([...jobs].map((job) => job.closed)), tooLate])
    clearTimeout(deadline)
  }

  /** Drains, then resolves when nothing of the agent is left. Idempotent. Whoever brings connections has stopped before. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    await this.drain()
    this.#hurry.abort()
    const unheard = setTimeout(() => {
      for (const open of this.#sockets) open.destroy()
    }, LAST_WORDS_MS)
    await Promise.allSettled(this.#sessions)
    clearTimeout(unheard)
    for (const open of this.#sockets) open.destroySoon()
    this.gate.close()
    await this.#memory.close()
    await this.#runtime.remove()
    process.off(WISH_SIGNAL, this.#onWish)
  }

  /** Another process of this host was asked to cancel a job of ours, and has written it into the history. */
  readonly #onWish = async (): Promise<void> => {
    const wishes = await this.#memory.cancelWishes()
    for (const job of this.#jobs) {
      const by = wishes.get(job.id)
      // One whose end is on its way is complete: there is nothing left to stop.
      if (by !== undefined && !job.isLettingGo) job.cancel(new BackupError('JOB_CANCELLED', `cancelled by ${by}`))
    }
  }

  #cancelAll(error: BackupError): void {
    for (const job of this.#jobs) job.cancel(error)
  }
}

/** What sessions have left to say when all backups have ended; who does not listen is not waited for. */
const LAST_WORDS_MS = 10_000

const drainTimeout = (drainSeconds: number): BackupError =>
  new BackupError(
    'JOB_DRAIN_TIMEOUT',
    `the agent is shutting down and waited ${drainSeconds} s for the backup`,
    { drainSeconds },
    { hint: 'ask again when the agent is back; --drain-seconds allows for more' },
  )

/** What the host can do for us is known from the start, and said once. */
const sayGuards = (log: Logger): void => {
  const guards = hostGuards()
  if (guards.pdeathsig && guards.lock) log.debug(guards, 'host')
  else log.warn(guards, 'setpriv or flock (util-linux) is missing: a killed agent may leave its backup program running')
}
