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

import { type AgentSettings, DEFAULT_SECONDS, PRODUCT } from '../config/index.ts'
import type { EngineIdentity } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import type { BackupJob } from '../jobs/index.ts'
import { type Logger, silentLogger, uptimeMs } from '../log/index.ts'
import { Admissions } from './admissions.ts'
import type { AgentParts, Prepared } from './agent-parts.ts'
import { cannotStart } from './cannot-start.ts'
import { ConnectionGate, type Visitor } from './connection-gate.ts'
import { lookForServers } from './described-servers.ts'
import { watchExpiry } from './expiry-watch.ts'
import { openSecurity, type Security, secure } from './secure-connection.ts'
import { type Reception, serveSession } from './session.ts'

export class Agent {
  readonly #settings: Partial<AgentSettings>
  readonly #beforeOpening: () => Promise<void>
  readonly #admissions = new Admissions()
  readonly #hurry = new AbortController()
  readonly #log: Logger
  /** Every connection passes there first. */
  readonly gate: ConnectionGate
  #security: Security
  #opening: Promise<AgentParts> | undefined
  #failure: { readonly error: unknown } | undefined
  #current: Prepared | undefined
  readonly #jobs = new Set<BackupJob>()
  readonly #startedMs = uptimeMs()
  readonly #sockets = new Set<Socket>()
  readonly #sessions = new Set<Promise<void>>()
  #drained: Promise<void> | undefined
  #stopped: Promise<void> | undefined

  private constructor(
    settings: Partial<AgentSettings>,
    security: Security,
    log: Logger,
    beforeOpening: () => Promise<void>,
  ) {
    this.#beforeOpening = beforeOpening
    this.#settings = settings
    this.#security = security
    this.#log = log
    this.gate = new ConnectionGate(log)
    this.gate.use(settings.connections ?? {})
    setMaxListeners(0, this.#hurry.signal) // every session listens, and their number is bounded where they come from
  }

  /**
   * @param settings what differs from the defaults
   * @throws BackupError `ENGINE_NOT_FOUND`, `ENGINE_UNUSABLE`, `ENGINE_DEFAULTS_FILE`, `SCRATCH_UNSAFE`, `HISTORY_*`,
   *   `AGENT_TLS_*`
   */
  static async open(settings: Partial<AgentSettings> = {}, log: Logger = silentLogger()): Promise<Agent> {
    const agent = await Agent.late(settings, log)
    await agent.openNow()
    return agent
  }

  /** @throws BackupError as `open` */
  async openNow(): Promise<void> {
    await this.#open()
    // Now: a backup at night must not need files that an upgrade has replaced by day.
    await Promise.all([import('./backup-request.ts'), import('./access.ts')])
    this.#watchExpiry()
  }

  /**
   * An agent that opens nothing until somebody wants what has to be opened: for the one client of a process. Who only
   * greets it is answered before a program was asked, or the history read. Whoever finds that it cannot be
   * opened is told so; `throwIfBroken` tells the others.
   *
   * @param beforeOpening is waited for
   * @throws BackupError `AGENT_TLS_*`
   */
  static async late(
    settings: Partial<AgentSettings>,
    log: Logger,
    beforeOpening: () => Promise<void> = async () => {},
  ): Promise<Agent> {
    return new Agent(settings, await openSecurity(settings, log), log, beforeOpening)
  }

  /** @throws what kept a late agent from being opened */
  throwIfBroken(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** Loaded here and not above: what makes a backup is the greater part of the program. */
  async #open(): Promise<AgentParts> {
    this.#opening ??= import('./agent-parts.ts').then(async ({ AgentParts }) => {
      const core = {
        jobs: this.#jobs,
        hurry: this.#hurry.signal,
        startedMs: this.#startedMs,
        admissions: this.#admissions,
        log: this.#log,
      }
      await this.#beforeOpening()
      const [parts, prepared] = await AgentParts.open(this.#settings, this.#security, core)
      this.use(prepared)
      return parts
    })
    return await this.#opening
  }

  /**
   * Makes everything ready that other settings need, and changes nothing yet.
   *
   * @throws BackupError `ENGINE_*`, `SCRATCH_UNSAFE`, `AGENT_TLS_*`: then the settings cannot be used
   */
  async makeReady(settings: Partial<AgentSettings>): Promise<Prepared> {
    const parts = await this.#open()
    return await parts.makeReady(settings, await openSecurity(settings, this.#log))
  }

  #watchExpiry(): void {
    void watchExpiry({
      warnings: (nowMs) => this.#security.door?.warnings(nowMs) ?? [],
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
    this.#security = prepared.security
    this.gate.use(prepared.connections)
    prepared.sayEngines(this.#log)
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
    const peer = `${visitor.address}:${raw.remotePort ?? '?'}`
    const log = this.#log.child({ peer })
    const reception = this.#reception()
    const startedMs = uptimeMs()
    const deadlineMs = reception.requestDeadlineMs
    const channel = await secure(raw, this.#security, { deadlineMs, hurry: reception.hurry, visitor, log })
    if (channel === undefined) return
    await serveSession(channel, peer, visitor, reception, log, uptimeMs() - startedMs)
  }

  /** What is known of the agent before anything was opened, and the way to the rest. */
  #reception(): Reception {
    const context = this.#current?.context
    const { request: requestSeconds = DEFAULT_SECONDS.request } = this.#settings.seconds ?? {}
    return {
      product: PRODUCT,
      requestDeadlineMs: context?.requestDeadlineMs ?? requestSeconds * 1000,
      hurry: this.#hurry.signal,
      look: context === undefined ? () => this.#orBroken(lookForServers(this.#settings)) : NOTHING_TO_LOOK_FOR,
      open: async () => {
        if (context !== undefined) return context
        await this.#orBroken(this.#open())
        return this.#ready.context
      },
    }
  }

  async #orBroken(work: Promise<unknown>): Promise<void> {
    try {
      await work
    } catch (error) {
      this.#failure ??= { error }
      throw cannotStart(error, Object.keys(this.#settings.roles ?? {}).length > 0)
    }
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
    const drainSeconds = this.#current?.drainSeconds ?? this.#settings.seconds?.drain ?? DEFAULT_SECONDS.drain
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
    const parts = await this.#opening?.catch(() => undefined) // what failed to open is closed
    await parts?.close()
  }

  #cancelAll(error: BackupError): void {
    for (const job of this.#jobs) job.cancel(error)
  }
}

/** An agent that is open has found its engines. */
const NOTHING_TO_LOOK_FOR = async (): Promise<void> => {}

/** What sessions have left to say when all backups have ended; who does not listen is not waited for. */
const LAST_WORDS_MS = 10_000

const drainTimeout = (drainSeconds: number): BackupError =>
  new BackupError(
    'JOB_DRAIN_TIMEOUT',
    `the agent is shutting down and waited ${drainSeconds} s for the backup`,
    { drainSeconds },
    { hint: 'ask again when the agent is back; --drain-seconds allows for more' },
  )
