/**
 * Who is let in, and who has to leave for it. Every connection of an agent passes here first.
 *
 *     accepted ─┬▶ all places, or all of its source, serve requests      dropped
 *               └▶ a stranger ─▶ known ─▶ answered, a stranger again     a Visitor
 *                  └── too many? the oldest of the source with the most is sent away: crowds.ts
 *
 * A newcomer is never turned away for a stranger's sake: a client of a backup says everything within milliseconds, and
 * a stranger nothing. So whoever has waited longest leaves, and nobody before it was listened to once. A request that is
 * being served is never touched.
 *
 * What is dropped gets a reset, and nothing is remembered of it but a count. The listening socket's own limit is
 * the last line behind this one: see `hardLimit`. Rules: PROTOCOL.md, "Dropped connections"; README, "Strangers".
 */

import type { Socket } from 'node:net'

import { type ConnectionLimits, DEFAULT_CONNECTIONS } from '../config/index.ts'
import { type Logger, uptimeMs } from '../log/index.ts'
import { Crowds, oldestOf } from './crowds.ts'
import { DoorLog, type DropReason } from './door-log.ts'
import { BACKLOG } from './listener.ts'
import { LoginPenalties } from './login-penalties.ts'
import { sourceOf } from './source-address.ts'
import { type Desk, Guest, Source, type Visitor } from './visitor.ts'

export type { Visitor } from './visitor.ts'

/** Answers that nobody reads may take so much memory, together. */
const MAX_UNREAD_BYTES = 16 * 1024 * 1024

/** The world as it is, unless a test says otherwise. */
export interface GateSurroundings {
  /** A monotonic clock, milliseconds. */
  nowMs(): number
  /** Calls once when everything that has come was looked at. Source: Node.js, "The event loop", "check". */
  soon(call: () => void): void
}

const REAL: GateSurroundings = { nowMs: uptimeMs, soon: (call) => void setImmediate(call) }

export class ConnectionGate {
  readonly #surroundings: GateSurroundings
  readonly #log: DoorLog
  /** Of those who have shown nothing by which they are known: by source. */
  readonly #denials = new LoginPenalties()
  /** Of tries at accounts of the database: by source and account. */
  readonly #logins = new LoginPenalties()
  readonly #sources = new Map<string, Source>()
  #limits: ConnectionLimits = DEFAULT_CONNECTIONS
  readonly #strangers = new Crowds<Guest>()
  /** Those with more connections than one source may have. */
  readonly #large = new Set<Source>()
  /** Whose answers are not read, as far as was seen. */
  readonly #unread = new Set<Guest>()
  #arrivals = 0
  #all = 0
  /** Of looking at all who wait. */
  #round = 0
  #newestRound = 0
  #isTrimming = false

  constructor(log: Logger, surroundings: GateSurroundings = REAL) {
    this.#surroundings = surroundings
    this.#log = new DoorLog(log)
  }

  /** From now on. Those that are there already leave when somebody else comes. */
  use(limits: Partial<ConnectionLimits>): void {
    this.#limits = { ...DEFAULT_CONNECTIONS, ...limits }
  }

  /**
   * What a listening socket may accept. All that the system holds for it may be accepted in one go, before anybody was
   * listened to, and so before anybody may leave for them.
   */
  get hardLimit(): number {
    return this.#limits.all + BACKLOG
  }

  /** Connections that are open now, and those of them that are strangers. */
  get counts(): { readonly all: number; readonly strangers: number } {
    return { all: this.#all, strangers: this.#strangers.size }
  }

  /** Lets somebody in. @returns undefined when the connection was dropped */
  admit(raw: Socket): Visitor | undefined {
    raw.on('error', ignore) // until its session listens; it closes then
    const name = sourceOf(raw.remoteAddress)
    const source = this.#sources.get(name) ?? new Source(name)
    if (this.#all - this.#strangers.size >= this.#limits.all || source.known >= this.#limits.perSource) {
      return this.#refuse(raw, 'full', name)
    }
    this.#arrivals += 1
    this.#newestRound = this.#round
    const guest = new Guest(raw, source, { order: this.#arrivals, round: this.#round }, this.#desk)
    this.#sources.set(name, source)
    this.#strangers.join(source, guest)
    this.#all += 1
    raw.once('close', () => this.#forget(guest))
    if (this.#excessOf(source) > 0) this.#large.add(source)
    if (this.#isOver) this.#trimSoon()
    return guest
  }

  /** The listening socket has dropped one by itself. */
  droppedByListener(address: string | undefined): void {
    this.#log.dropped('full', sourceOf(address))
  }

  /** Says what has been counted and was not said yet. */
  close(): void {
    this.#log.flush()
  }

  readonly #desk: Desk = {
    isKnown: (guest) => {
      if (this.#strangers.leave(guest.source, guest)) guest.source.known += 1
    },
    isAnswered: (guest) => {
      if (guest.isOver) return
      if (!guest.isStranger) {
        guest.source.known -= 1
        this.#strangers.join(guest.source, guest)
      }
      if (guest.unreadBytes > 0) this.#limitUnread(guest)
      if (this.#isOver) this.#trimSoon()
    },
    isDenied: (guest) => {
      const { name } = guest.source
      const nowMs = this.#surroundings.nowMs()
      this.#denials.failed(name, nowMs)
      const waitMs = this.#denials.turn(name, nowMs)
      if (waitMs === undefined) this.#sendAway(guest, 'penalised')
      return waitMs
    },
    triesLogin: ({ source }, account) => this.#logins.turn(`${source.name} ${account}`, this.#surroundings.nowMs()),
    givesTurnBack: ({ source }, account) =>
      this.#logins.giveBack(`${source.name} ${account}`, this.#surroundings.nowMs()),
    hasTriedLogin: ({ source }, account, isRight) => {
      const key = `${source.name} ${account}`
      if (isRight) this.#logins.forgive(key)
      else this.#logins.failed(key, this.#surroundings.nowMs())
    },
    mayLog: (guest, what) => this.#log.mayWrite(what, !guest.isStranger),
  }

  #refuse(raw: Socket, reason: DropReason, source: string): undefined {
    this.#log.dropped(reason, source)
    raw.resetAndDestroy()
    return undefined
  }

  #forget(guest: Guest): void {
    if (guest.isOver) return
    guest.isOver = true
    const { source } = guest
    if (!this.#strangers.leave(source, guest)) source.known -= 1
    this.#all -= 1
    this.#unread.delete(guest)
    if (source.known > 0 || source.waiting.size > 0) return
    this.#sources.delete(source.name)
    this.#large.delete(source)
  }

  #sendAway(guest: Guest, reason: DropReason): void {
    this.#log.dropped(reason, guest.source.name)
    this.#forget(guest)
    guest.sendAway()
  }

  /** How many strangers are too many in all. */
  get #excess(): number {
    const { all, unknown } = this.#limits
    const strangers = this.#strangers.size
    return Math.min(Math.max(this.#all - all, strangers - unknown), strangers)
  }

  /** How many of one source are. */
  #excessOf({ known, waiting }: Source): number {
    return Math.min(known + waiting.size - this.#limits.perSource, waiting.size)
  }

  get #isOver(): boolean {
    return this.#large.size > 0 || this.#excess > 0
  }

  #trimSoon(): void {
    if (this.#isTrimming) return
    this.#isTrimming = true
    this.#surroundings.soon(() => {
      this.#isTrimming = false
      this.#trim()
      const hasNewcomers = this.#newestRound === this.#round
      this.#round += 1
      if (hasNewcomers && this.#isOver) this.#trimSoon() // they are listened to once, and may have to leave then
    })
  }

  #trim(): void {
    const mayGo = ({ round, isHeard }: Guest): boolean => round < this.#round && !isHeard
    for (const source of this.#large) {
      while (this.#excessOf(source) > 0) {
        const oldest = oldestOf(source)
        if (oldest === undefined || !mayGo(oldest)) break
        this.#sendAway(oldest, 'evicted')
      }
      if (this.#excessOf(source) <= 0) this.#large.delete(source)
    }
    while (this.#excess > 0) {
      const guest = this.#strangers.next(mayGo)
      if (guest === undefined) break
      this.#sendAway(guest, 'evicted')
    }
  }

  /** Of answers that are not read the largest go first. */
  #limitUnread(last: Guest): void {
    this.#unread.add(last)
    const unread = [...this.#unread].sort((one, other) => other.unreadBytes - one.unreadBytes)
    let bytes = unread.reduce((sum, { unreadBytes }) => sum + unreadBytes, 0)
    for (const guest of unread) {
      if (bytes <= MAX_UNREAD_BYTES) return
      bytes -= guest.unreadBytes
      this.#sendAway(guest, 'evicted')
    }
  }
}

const ignore = (): void => {}
