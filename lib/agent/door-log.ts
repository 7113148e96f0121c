/**
 * What the log says of those at the door: a few lines as they are, and the rest as one line of counts.
 *
 *     {"code":"AGENT_CONNECTIONS","dropped":5012,"evicted":4870,"full":0,"penalised":142,"sources":3,
 *      "most":"192.0.2.7","mostDropped":4102,"unsaid":{"AGENT_REQUEST_TIMEOUT":88},"seconds":60, …}
 *
 * A log that grows with every connection is what a flood would be for. So a connection that is dropped has no line
 * of its own; what is told to strangers is written as long as there are few such lines, and else counted by its code. The
 * first counts come a second after the first of them, then they are gathered for a minute.
 */

import { type Logger, uptimeMs } from '../log/index.ts'

/** Why a connection was dropped. */
export type DropReason =
  /** It waited, and there was no room for all who did. */
  | 'evicted'
  /** All places, or all of its source, were taken by requests that are being served. */
  | 'full'
  /** It has shown nothing by which it is known, and too many such of its source wait to be told so. */
  | 'penalised'

const FIRST_MS = 1000
const INTERVAL_MS = 60_000

/** So many sources are counted one by one. */
const MAX_COUNTED = 256

/** Lines that may be written at once, and how many more every second. */
interface Allowance {
  readonly most: number
  readonly perSecond: number
}

/** Nobody knows who they are. */
const FOR_STRANGERS: Allowance = { most: 60, perSecond: 1 }
/** Whose request was good: many tools ask at once, and a person wants to see what they did. */
const FOR_KNOWN: Allowance = { most: 2000, perSecond: 20 }

export interface Surroundings {
  /** A monotonic clock, milliseconds. */
  nowMs(): number
  /** Calls once, later; must not keep the process. */
  later(milliseconds: number, call: () => void): void
}

const REAL: Surroundings = {
  nowMs: uptimeMs,
  later: (milliseconds, call) => void setTimeout(call, milliseconds).unref(),
}

export class DoorLog {
  readonly #log: Logger
  readonly #surroundings: Surroundings
  readonly #strangers: Purse
  readonly #known: Purse
  #counts = new Counts()
  #sinceMs: number
  #isGathering = false

  constructor(log: Logger, surroundings: Surroundings = REAL) {
    this.#log = log
    this.#surroundings = surroundings
    this.#sinceMs = surroundings.nowMs()
    this.#strangers = new Purse(FOR_STRANGERS, this.#sinceMs)
    this.#known = new Purse(FOR_KNOWN, this.#sinceMs)
  }

  dropped(reason: DropReason, source: string): void {
    this.#counts.drop(reason, source)
    this.#gather(FIRST_MS)
  }

  /** Whether a line may be written as it is. One that may not is counted. @param what it is called among the counts */
  mayWrite(what: string, isKnown: boolean): boolean {
    const purse = isKnown ? this.#known : this.#strangers
    if (purse.spend(this.#surroundings.nowMs())) return true
    this.#counts.unsaid(what)
    this.#gather(FIRST_MS)
    return false
  }

  /** Says what has been counted and not been said yet. */
  flush(): void {
    if (this.#counts.isEmpty) return
    const now = this.#surroundings.nowMs()
    const facts = { ...this.#counts.facts(), seconds: Math.round((now - this.#sinceMs) / 1000) }
    this.#log.warn({ code: 'AGENT_CONNECTIONS', ...facts }, 'connections were dropped, or not told of one by one')
    this.#counts = new Counts()
    this.#sinceMs = now
  }

  #gather(milliseconds: number): void {
    if (this.#isGathering) return
    this.#isGathering = true
    if (this.#counts.total === 1) this.#sinceMs = this.#surroundings.nowMs()
    this.#surroundings.later(milliseconds, () => {
      const hadSome = !this.#counts.isEmpty
      this.flush()
      this.#isGathering = false
      if (hadSome) this.#gather(INTERVAL_MS) // the next ones wait for each other
    })
  }
}

/** Lines that may still be written. */
class Purse {
  readonly #allowance: Allowance
  #lines: number
  #filledMs: number

  constructor(allowance: Allowance, nowMs: number) {
    this.#allowance = allowance
    this.#lines = allowance.most
    this.#filledMs = nowMs
  }

  spend(nowMs: number): boolean {
    const { most, perSecond } = this.#allowance
    this.#lines = Math.min(most, this.#lines + ((nowMs - this.#filledMs) / 1000) * perSecond)
    this.#filledMs = nowMs
    if (this.#lines < 1) return false
    this.#lines -= 1
    return true
  }
}

class Counts {
  readonly #reasons: { [Reason in DropReason]: number } = { evicted: 0, full: 0, penalised: 0 }
  readonly #sources = new Map<string, number>()
  readonly #unsaid = new Map<string, number>()
  #dropped = 0
  #total = 0

  get total(): number {
    return this.#total
  }

  get isEmpty(): boolean {
    return this.#total === 0
  }

  drop(reason: DropReason, source: string): void {
    this.#total += 1
    this.#dropped += 1
    this.#reasons[reason] += 1
    const count = this.#sources.get(source)
    if (count !== undefined || this.#sources.size < MAX_COUNTED) this.#sources.set(source, (count ?? 0) + 1)
  }

  /** Codes and a few other names: there are not many. */
  unsaid(what: string): void {
    this.#total += 1
    this.#unsaid.set(what, (this.#unsaid.get(what) ?? 0) + 1)
  }

  facts(): Record<string, unknown> {
    const [most, mostDropped] = [...this.#sources].sort(([, one], [, other]) => other - one)[0] ?? []
    return {
      dropped: this.#dropped,
      ...this.#reasons,
      ...(most === undefined ? {} : { sources: this.#sources.size, most, mostDropped }),
      ...(this.#unsaid.size === 0 ? {} : { unsaid: Object.fromEntries(this.#unsaid) }),
    }
  }
}
