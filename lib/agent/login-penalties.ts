/**
 * How long somebody has to wait who has tried wrong logins: longer with each, up to a few seconds, and never for good.
 *
 *     failures   1  2  3   4    5    6 …      one is forgotten a minute, all of them when they are forgiven
 *     between two tries
 *                0  0  0   1 s  2 s  4 s
 *
 * A try takes the next turn and waits for it; when too many have taken theirs it is refused at once, and costs nothing.
 * Waiting and not refusing, because one key may stand for many: an office, a tunnel on this host. What a key is, the
 * caller decides: see `connection-gate.ts`.
 *
 * The table is bounded: of too many keys the one that was not heard of for longest is forgotten. Time is an
 * argument, and no key has a timer. Pure.
 */

/** As many as a person needs who has two passwords, and a job whose password was changed. */
const FREE_FAILURES = 3
const FIRST_DELAY_MS = 1000
const MAX_DELAY_MS = 4000
/** More are not remembered, so that the worst of them is forgotten soon, too. */
const MAX_FAILURES = 10
const FORGET_ONE_MS = 60_000

/** With the longest delay that is less than a client waits for its answer: who waits for a turn may still be served. */
const MAX_TURNS_AHEAD = 2

/** Some hundred bytes each. */
const MAX_KEYS = 4096

interface Record {
  failures: number
  /** When `failures` was right. */
  countedMs: number
  /** When the next try may have its turn. */
  nextTurnMs: number
}

export class LoginPenalties {
  readonly #records = new Map<string, Record>()
  readonly #maxKeys: number

  constructor(maxKeys = MAX_KEYS) {
    this.#maxKeys = maxKeys
  }

  /** Keys that are remembered. */
  get size(): number {
    return this.#records.size
  }

  /** A login was wrong. @param nowMs of a monotonic clock */
  failed(key: string, nowMs: number): void {
    const record = this.#remembered(key, nowMs) ?? { failures: 0, countedMs: nowMs, nextTurnMs: nowMs }
    record.failures = Math.min(record.failures + 1, MAX_FAILURES)
    record.nextTurnMs = Math.max(record.nextTurnMs, nowMs + delayMs(record.failures))
    this.#records.delete(key) // to the end of the table
    this.#records.set(key, record)
    if (this.#records.size <= this.#maxKeys) return
    for (const oldest of this.#records.keys()) {
      this.#records.delete(oldest)
      break
    }
  }

  /** A login was right. */
  forgive(key: string): void {
    this.#records.delete(key)
  }

  /**
   * Takes the next turn for a try.
   *
   * @returns how many milliseconds it has to wait for it; undefined when it is to be refused
   */
  turn(key: string, nowMs: number): number | undefined {
    const record = this.#remembered(key, nowMs)
    if (record === undefined) return 0
    const delay = delayMs(record.failures)
    if (delay === 0) return 0
    const waitMs = Math.max(record.nextTurnMs - nowMs, 0)
    if (waitMs > MAX_TURNS_AHEAD * delay) return undefined
    record.nextTurnMs = nowMs + waitMs + delay
    return waitMs
  }

  /** A turn that was waited for is not wanted any more: the next try may have it. */
  giveBack(key: string, nowMs: number): void {
    const record = this.#remembered(key, nowMs)
    if (record !== undefined) record.nextTurnMs = Math.max(record.nextTurnMs - delayMs(record.failures), nowMs)
  }

  #remembered(key: string, nowMs: number): Record | undefined {
    const record = this.#records.get(key)
    if (record === undefined) return undefined
    const forgotten = Math.max(Math.floor((nowMs - record.countedMs) / FORGET_ONE_MS), 0)
    record.failures -= forgotten
    record.countedMs += forgotten * FORGET_ONE_MS
    if (record.failures > 0) return record
    this.#records.delete(key)
    return undefined
  }
}

const delayMs = (failures: number): number =>
  failures <= FREE_FAILURES ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (failures - FREE_FAILURES - 1), MAX_DELAY_MS)
