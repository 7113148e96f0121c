/**
 * What the service manager is told, in order: ready, a sign of life now and then, stopping.
 *
 *     READY=1 ─▶ WATCHDOG=1 … ─▶ RELOADING=1 ─▶ READY=1 ─▶ STOPPING=1
 *
 * A sign of life is given at half of the time it is waited for, and only when the agent has
 * shown one: an event loop that turns, and connections that are accepted. What stops is not
 * called ready again by a reload that ends too late. Without a service
 * manager all of this does nothing. Telling never fails: it is logged, once.
 */

import type { RunningAgent } from '../agent/index.ts'
import { notifyServiceManager } from '../engines/index.ts'
import type { Logger } from '../log/index.ts'
import type { ServiceEnvironment } from './service-environment.ts'

/** What a service manager shows of an agent that serves. */
export const serving = ({ engine, host, port }: RunningAgent): string =>
  `serving ${engine.name} ${engine.version} on ${host}:${port}`

export class ServiceNotices {
  readonly #socket: string | undefined
  readonly #watchdogMs: number | undefined
  readonly #log: Logger
  readonly #tell: typeof notifyServiceManager
  #queue: Promise<void> = Promise.resolve()
  #watchdog: NodeJS.Timeout | undefined
  #hasFailed = false
  #isStopping = false

  constructor(
    { notifySocket, watchdogMs }: Pick<ServiceEnvironment, 'notifySocket' | 'watchdogMs'>,
    log: Logger,
    tell = notifyServiceManager,
  ) {
    this.#socket = notifySocket
    this.#watchdogMs = watchdogMs
    this.#log = log
    this.#tell = tell
  }

  ready(status: string): void {
    if (!this.#isStopping) this.#say('READY=1', statusWords(status))
  }

  /** A reload begins; `ready` ends it. The time is what Type=notify-reload asks for: CLOCK_MONOTONIC, which is Node's. */
  reloading(): void {
    if (!this.#isStopping) this.#say('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`)
  }

  stopping(status: string): void {
    this.#isStopping = true
    this.#say('STOPPING=1', statusWords(status))
  }

  /** @param isAlive looked at before each sign of life. Also while the agent stops: a backup may need its time */
  watch(isAlive: () => Promise<boolean>): void {
    if (this.#socket === undefined || this.#watchdogMs === undefined) return
    const beat = async (): Promise<void> => {
      if (await isAlive().catch(() => false)) this.#say('WATCHDOG=1')
      else this.#log.error('connections are not accepted any more: the service manager is told nothing')
    }
    this.#watchdog = setInterval(() => void beat(), this.#watchdogMs / 2)
    this.#watchdog.unref()
  }

  /** Resolves when everything was told. */
  async close(): Promise<void> {
    clearInterval(this.#watchdog)
    await this.#queue
  }

  #say(...assignments: string[]): void {
    const socket = this.#socket
    if (socket === undefined) return
    this.#queue = this.#queue.then(async () => {
      const problem = await this.#tell(socket, assignments)
      if (problem === undefined || this.#hasFailed) return
      this.#hasFailed = true
      this.#log.warn({ problem }, 'the service manager cannot be told how the agent is')
    })
  }
}

/** One line: the next one would be taken for another message. */
const statusWords = (status: string): string => `STATUS=${status.replace(/\p{C}+/gu, ' ')}`
