/**
 * How long a source has to wait that has tried wrong logins: longer with each, up to a few seconds, and never for good.
 *
 *     failures   1  2  3   4    5    6 …      one is forgotten a minute, all of them with a login that is right
 *     between two connections
 *                0  0  0   1 s  2 s  4 s
 *
 * A connection of such a source takes the next turn and waits for it; when too many have taken theirs it is refused
 * at once, and costs nothing. Waiting and not refusing, because behind one address may be many: an office, a tunnel on
 * this host. A job there that tries its old password in a loop makes its neighbours wait for seconds. Several at the
 * same time can take every turn: as long as they go on, their neighbours are refused with them.
 *
 * The table is bounded: of too many sources the one that was not heard of for longest is forgotten. Time is an
 * argument, and no source has a timer. Pure.
 */

import { BackupError } from '../errors/index.ts'

/** As many as a person needs who has two passwords, and a job whose password was changed. */
const FREE_FAILURES = 3
const FIRST_DELAY_MS = 1000
const MAX_DELAY_MS = 4000
/** More are not remembered, so that the worst of them is forgotten soon, too. */
const MAX_FAILURES = 10
const FORGET_ONE_MS = 60_000

/** With the longest delay that is less than the time for a request: who waits for a turn may still be served. */
const MAX_TURNS_AHEAD = 2

/** Some hundred bytes each. */
const MAX_SOURCES = 4096

interface Record {
  failures: number
  /** When `failures` was right. */
  countedMs: number
  /** When the next connection may have its turn. */
  nextTurnMs: number
}

export class LoginPenalties {
  readonly #records = new Map<string, Record>()
  readonly #maxSources: number

  constructor(maxSources = MAX_SOURCES) {
    this.#maxSources = maxSources
  }

  /** Sources that are remembered. */
  get size(): number {
    return this.#records.size
  }

  /** A login was wrong. @param nowMs of a monotonic clock */
  failed(source: string, nowMs: number): void {
    const record = this.#remembered(source, nowMs) ?? { failures: 0, countedMs: nowMs, nextTurnMs: nowMs }
    record.failures = Math.min(record.failures + 1, MAX_FAILURES)
    record.nextTurnMs = Math.max(record.nextTurnMs, nowMs + delayMs(record.failures))
    this.#records.delete(source) // to the end of the table
    this.#records.set(source, record)
    if (this.#records.size <= this.#maxSources) return
    for (const oldest of this.#records.keys()) {
      this.#records.delete(oldest)
      break
    }
  }

  /** A login was right. */
  forgive(source: string): void {
    this.#records.delete(source)
  }

  /**
   * Takes the next turn for a connection.
   *
   * @returns how many milliseconds it has to wait for it; undefined when it is to be refused
   */
  turn(source: string, nowMs: number): number | undefined {
    const record = this.#remembered(source, nowMs)
    if (record === undefined) return 0
    const delay = delayMs(record.failures)
    if (delay === 0) return 0
    const waitMs = Math.max(record.nextTurnMs - nowMs, 0)
    if (waitMs > MAX_TURNS_AHEAD * delay) return undefined
    record.nextTurnMs = nowMs + waitMs + delay
    return waitMs
  }

  #remembered(source: string, nowMs: number): Record | undefined {
    const record = this.#records.get(source)
    if (record === undefined) return undefined
    const forgotten = Math.max(Math.floor((nowMs - record.countedMs) / FORGET_ONE_MS), 0)
    record.failures -= forgotten
    record.countedMs += forgotten * FORGET_ONE_MS
    if (record.failures > 0) return record
    this.#records.delete(source)
    return undefined
  }
}

/** A client's own: that of the host may be wrong as well, and whoever asks is not to blame for it. */
interface ClientLogin {
  readonly isHostLogin?: boolean
}

/** Whether a request showed a token or a login that is none. */
export const isWrongLogin = (error: unknown, { isHostLogin = false }: ClientLogin): boolean =>
  error instanceof BackupError &&
  (error.code === 'AGENT_ACCESS_DENIED' || (error.code === 'ENGINE_LOGIN' && !isHostLogin))

const delayMs = (failures: number): number =>
  failures <= FREE_FAILURES ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (failures - FREE_FAILURES - 1), MAX_DELAY_MS)
