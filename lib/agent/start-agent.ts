/**
 * Starts an agent that listens, and hands back the means to stop it.
 *
 *     a port of its own, or sockets on which the service manager listens already
 *
 * What an agent consists of: `agent.ts`. Here is only how connections come to it.
 */

import type { Socket } from 'node:net'

import { type AgentSettings, DEFAULT_HOST, DEFAULT_PORT, isExposed, PRODUCT, refuseExposure } from '../config/index.ts'
import type { EngineIdentity } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { type Logger, silentLogger } from '../log/index.ts'
import { AGENT_PROTOCOL_VERSION } from '../protocol/index.ts'
import { Agent } from './agent.ts'
import type { ConnectionGate } from './connection-gate.ts'
import { type ConnectionOptions, type Listener, listen } from './listener.ts'
import { listenOnDescriptor } from './listener-inherited.ts'

export interface RunningAgent {
  readonly host: string
  readonly port: number
  readonly engine: EngineIdentity
  /** Whether connections are accepted; false also when somebody has waited since it was asked last, and nobody was. */
  isAccepting(): Promise<boolean>
  /**
   * Takes no new work, lets a running backup end, cancels it when `drainSeconds` are over. Until it has ended,
   * questions are answered, and backups refused with `JOB_DRAINING`.
   * Resolves when nothing of the agent is left. Idempotent.
   */
  stop(): Promise<void>
  /** Cancels the running backup now; its client sees a reset. */
  cancel(reason: string): void
  /**
   * New connections get these settings, running backups keep theirs. The listener stays, unless `host` or `port` was
   * changed. `stateDirectory` is not taken over: the history is open for as long as the agent lives.
   *
   * @throws BackupError `ENGINE_*`, `AGENT_LISTEN`, `AGENT_INSECURE`, `AGENT_TLS_*`, `JOB_DRAINING` when it was told to
   *   stop meanwhile: then everything stays as it was
   */
  reload(settings: Partial<AgentSettings>): Promise<void>
}

/**
 * @param settings what differs from the defaults
 * @param descriptors of sockets that listen already; with any of them `host` and `port` of the settings mean nothing
 * @throws BackupError `ENGINE_NOT_FOUND`, `ENGINE_UNUSABLE`, `HISTORY_*`, `AGENT_LISTEN`, `AGENT_DESCRIPTOR`,
 *   `AGENT_INSECURE` when others would be served in clear, `AGENT_TLS_*` for certificates
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
  if (descriptors.length === 0) refuseExposure(settings)
  const agent = await Agent.open(settings, log)
  const listeners: Listener[] = []
  try {
    const options = { ...connectionsOf(agent.gate, log), onConnection: (socket: Socket) => void agent.serve(socket) }
    for (const descriptor of descriptors) listeners.push(await listenOnDescriptor(descriptor, options))
    if (descriptors.length === 0) listeners.push(await openListener(agent, settings, log))
  } catch (error) {
    for (const listener of listeners) listener.close()
    await agent.stop()
    throw error
  }
  sayExposed(settings, listeners, log)
  const running = new Listening(agent, settings, listeners, descriptors.length > 0, log)
  running.sayListening()
  return {
    // Own properties: people spread them into what they ask an agent with. Read anew each time, for the port may change.
    get host() {
      return running.host
    },
    get port() {
      return running.port
    },
    get engine() {
      return agent.engine
    },
    isAccepting: () => running.isAccepting(),
    cancel: (reason) => agent.cancel(reason),
    reload: (next) => running.reload(next),
    stop: () => running.stop(),
  }
}

class Listening {
  readonly #agent: Agent
  readonly #log: Logger
  /** The sockets are somebody else's: where they listen is not for the settings to say. */
  readonly #isGiven: boolean
  #settings: Partial<AgentSettings>
  #listeners: readonly Listener[]
  #reloading: Promise<void> = Promise.resolve()
  #stopped: Promise<void> | undefined

  constructor(
    agent: Agent,
    settings: Partial<AgentSettings>,
    listeners: readonly Listener[],
    isGiven: boolean,
    log: Logger,
  ) {
    this.#agent = agent
    this.#settings = settings
    this.#listeners = listeners
    this.#isGiven = isGiven
    this.#log = log
  }

  get host(): string {
    return this.#first.host
  }

  get port(): number {
    return this.#first.port
  }

  get #first(): Listener {
    return this.#listeners[0] as Listener
  }

  async isAccepting(): Promise<boolean> {
    return (await Promise.all(this.#listeners.map((listener) => listener.isAccepting()))).every(Boolean)
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  reload(settings: Partial<AgentSettings>): Promise<void> {
    const reloaded = this.#reloading.then(() => this.#reload(settings))
    this.#reloading = reloaded.catch(() => undefined) // the next one is not this one's victim
    return reloaded
  }

  sayListening(): void {
    for (const { host, port } of this.#listeners) {
      this.#log.info({ host, port, protocol: AGENT_PROTOCOL_VERSION, product: PRODUCT }, 'listening')
    }
  }

  async #reload(settings: Partial<AgentSettings>): Promise<void> {
    if (!this.#isGiven) refuseExposure(settings)
    const prepared = await this.#agent.makeReady(settings)
    const isElsewhere = !this.#isGiven && addressOf(settings) !== addressOf(this.#settings)
    // The new one first: while it cannot be opened the old one stays, and nobody finds a closed door in between.
    const opened = isElsewhere ? await openListener(this.#agent, settings, this.#log) : undefined
    if (this.#stopped !== undefined) {
      opened?.close()
      throw new BackupError('JOB_DRAINING', 'the agent is shutting down, and takes over no settings any more')
    }
    this.#settings = settings
    this.#agent.use(prepared)
    for (const listener of opened === undefined ? this.#listeners : [opened]) {
      listener.limitTo(this.#agent.gate.hardLimit)
    }
    if (opened === undefined) return
    this.#closeListeners()
    this.#listeners = [opened]
    this.sayListening()
  }

  async #stop(): Promise<void> {
    await this.#agent.drain()
    this.#closeListeners() // until now whoever waits for the backup could ask how it is, and cancel it
    await this.#agent.stop()
    this.#log.info('stopped')
  }

  #closeListeners(): void {
    for (const listener of this.#listeners) listener.close()
  }
}

/** What was asked for, and not what became of it: port 0 is the same request again. */
const addressOf = ({ host = DEFAULT_HOST, port = DEFAULT_PORT }: Partial<AgentSettings>): string => `${host} ${port}`

const openListener = async (agent: Agent, settings: Partial<AgentSettings>, log: Logger): Promise<Listener> => {
  const { host = DEFAULT_HOST, port = DEFAULT_PORT } = settings
  const onConnection = (socket: Socket): void => void agent.serve(socket)
  const listener = await listen({ host, port, ...connectionsOf(agent.gate, log), onConnection })
  try {
    refuseExposure({ ...settings, host: listener.host, port: listener.port }) // what a name stands for is known now
  } catch (error) {
    listener.close()
    throw error
  }
  return listener
}

/** Sockets of the service manager are taken as they are: whoever comes from elsewhere is refused in words. */
const sayExposed = (settings: Partial<AgentSettings>, listeners: readonly Listener[], log: Logger): void => {
  for (const { host, port } of listeners) {
    if (!isExposed({ ...settings, host })) continue
    log.error(
      { code: 'AGENT_INSECURE', host, port },
      'others than this host reach this address, and neither TLS nor insecure is configured: they are refused',
    )
  }
}

/** What is said of connections that cannot be served, whichever socket they come from. */
export const connectionsOf = (gate: ConnectionGate, log: Logger): Omit<ConnectionOptions, 'onConnection'> => ({
  maxConnections: gate.hardLimit,
  onDropped: (address) => gate.droppedByListener(address),
  onTrouble: (errno) => log.warn({ errno }, 'the system hands over no connections; what runs goes on'),
})
