/**
 * One connection that was let in, as its session sees it: what the gate is to know of it, and what it knows.
 *
 *     stranger ─▶ known: its request is being served ─▶ left: answered, and a stranger again
 *                                                  └──▶ sent away: by a reset, wherever it was a stranger
 *
 * It counts nothing and decides nothing: that is the gate's.
 */

import type { Socket } from 'node:net'

import type { Crowd, Waiting } from './crowds.ts'

/** For as long as the connection lasts. */
export interface Visitor {
  /** Of the peer, as Node calls it. */
  readonly address: string
  /** It was sent away, and its session need not tell anybody. */
  readonly isDropped: boolean
  /** Its request is whole and is being looked at: it stays meanwhile, whoever it is. */
  heard(): void
  /** Its request is whole and it may ask this: it is not a stranger any more. */
  known(): void
  /**
   * It has shown nothing by which it is known: counts that, and waits until it is its turn to be told.
   *
   * @param hurry ends the waiting
   * @returns false when it has left meanwhile, or was sent away
   */
  deniedTurn(hurry: AbortSignal): Promise<boolean>
  /** Waits, as a stranger, until a login at this account of the database may be tried. See `login-trial.ts`. */
  loginTurn(account: string, hurry: AbortSignal): Promise<Turn>
  /** What came of it. */
  loginWas(account: string, isRight: boolean): void
  /**
   * It has its answer, or the last bytes of it are on their way: nothing is owed to it.
   *
   * @param through what it was written to, where that is not the connection itself
   */
  left(through?: Outlet): void
  /** Whether a line about it may be written; one that may not is counted. */
  mayLog(what: string): boolean
}

/** How waiting for a turn has ended: it has come, too many wait for theirs, or the client is gone. */
export type Turn = 'come' | 'refused' | 'gone'

/** What an answer leaves by. */
export type Outlet = Pick<Socket, 'writableLength' | 'writableEnded' | 'destroy'>

/** Where a guest's own word is taken: the gate. */
export interface Desk {
  isKnown(guest: Guest): void
  isAnswered(guest: Guest): void
  /** Milliseconds until it is to be told so. @returns undefined when it has been dropped */
  isDenied(guest: Guest): number | undefined
  /** Milliseconds until its turn. @returns undefined when too many wait for theirs */
  triesLogin(guest: Guest, account: string): number | undefined
  /** It has left before its turn came. */
  givesTurnBack(guest: Guest, account: string): void
  hasTriedLogin(guest: Guest, account: string, isRight: boolean): void
  mayLog(guest: Guest, what: string): boolean
}

export interface Arrival extends Waiting {
  /** Of looking at all who wait; who came in this one was not listened to yet. */
  readonly round: number
}

/** What there is of one source. */
export class Source implements Crowd<Guest> {
  readonly name: string
  /** How many of its requests are being served. */
  known = 0
  /** The others, in the order in which they came to wait. */
  readonly waiting = new Set<Guest>()

  constructor(name: string) {
    this.name = name
  }
}

export class Guest implements Visitor, Waiting {
  readonly address: string
  readonly source: Source
  readonly order: number
  readonly round: number
  /** It has left, or was sent away: the gate counts it no more. */
  isOver = false
  isDropped = false
  /** Somebody looks at its request. */
  isHeard = false
  readonly #raw: Socket
  readonly #desk: Desk
  #outlet: Outlet

  constructor(raw: Socket, source: Source, { order, round }: Arrival, desk: Desk) {
    this.#raw = raw
    this.#outlet = raw
    this.address = raw.remoteAddress ?? '?'
    this.source = source
    this.order = order
    this.round = round
    this.#desk = desk
  }

  get isStranger(): boolean {
    return this.source.waiting.has(this)
  }

  /** Bytes of its answer that it has not taken. */
  get unreadBytes(): number {
    return this.#outlet.writableLength
  }

  heard(): void {
    this.isHeard = true
  }

  known(): void {
    this.#desk.isKnown(this)
  }

  async deniedTurn(hurry: AbortSignal): Promise<boolean> {
    const waitMs = this.#desk.isDenied(this)
    return waitMs !== undefined && (await this.#waitAsStranger(waitMs, hurry))
  }

  async loginTurn(account: string, hurry: AbortSignal): Promise<Turn> {
    const waitMs = this.#desk.triesLogin(this, account)
    if (waitMs === undefined) return 'refused'
    if (waitMs === 0) return 'come'
    if (!(await this.#waitAsStranger(waitMs, hurry))) {
      this.#desk.givesTurnBack(this, account)
      return 'gone'
    }
    this.known()
    return 'come'
  }

  loginWas(account: string, isRight: boolean): void {
    this.#desk.hasTriedLogin(this, account, isRight)
  }

  /** Whoever waits leaves for others who come. */
  async #waitAsStranger(waitMs: number, hurry: AbortSignal): Promise<boolean> {
    this.isHeard = false
    this.#desk.isAnswered(this)
    await this.#untilGone(waitMs, hurry)
    this.isHeard = true
    return !this.isOver && !this.#raw.destroyed
  }

  #untilGone(atMostMs: number, hurry: AbortSignal): Promise<void> {
    if (atMostMs === 0 || this.isOver || hurry.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const settle = (): void => {
        clearTimeout(timer)
        this.#raw.off('close', settle)
        hurry.removeEventListener('abort', settle)
        resolve()
      }
      const timer = setTimeout(settle, atMostMs)
      this.#raw.once('close', settle)
      hurry.addEventListener('abort', settle)
    })
  }

  left(through: Outlet = this.#outlet): void {
    this.#outlet = through
    this.isHeard = false
    this.#desk.isAnswered(this)
  }

  mayLog(what: string): boolean {
    return !this.isDropped && this.#desk.mayLog(this, what)
  }

  /** What our system has taken of an answer arrives all the same; whoever has none gets a reset. */
  sendAway(): void {
    this.isDropped = true
    if (this.#outlet.writableEnded && this.#outlet.writableLength === 0) this.#outlet.destroy()
    else this.#raw.resetAndDestroy()
  }
}
