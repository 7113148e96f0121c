/**
 * Breaks a connection off so that the peer has everything that was sent, and nothing more.
 *
 *     written ──▶ taken by the system ──▶ acknowledged by the peer's system ──▶ reset
 *                        └── in our system's hands when the time is over ─────▶ FIN
 *
 * A reset throws away what is still on its way, and then the stream ends wherever the
 * network happened to be: possibly between two members, where tar takes it for whole. So
 * the bytes that were let go, which end where tar refuses to end, are given time to
 * arrive: as long as the peer takes some of them now and then. Where the time is over and
 * our system has all of them, they are left to it, with a FIN behind: tar refuses what it
 * will have then, and who looks for the end of the archive finds none. Only where our
 * system would not even take them all can nobody say where they end.
 * Over TLS bytes count as written until the system has taken the last of the records they went into, and it is
 * the connection below that is acknowledged and broken off: no word of TLS says then that this is the end.
 * Rule: PROTOCOL.md, "Ends of a stream".
 */

import { setTimeout } from 'node:timers/promises'

import type { Channel } from './secure-connection.ts'
import { type TcpState, tcpState } from './tcp-table.ts'

/** What a connection is written to, and what it is to the system: one and the same without TLS. */
export type Wire = Pick<Channel, 'socket' | 'raw'>

/** How long a peer may take for what is on its way to it. */
export interface Patience {
  /** While it takes nothing at all: what a client may do to a running backup, it may do here. */
  readonly stallMs: number
  /** Aborts when the agent itself is about to end: the peer gets little time then. */
  readonly hurry: AbortSignal
}

/** A few megabytes are on their way at most, so this is a reader of a kilobyte a second. */
const MOST_MS = 3_600_000

/** When the agent is about to end. systemd kills what is there ten seconds later. Source: "Signals" in the README. */
const HURRIED_STALL_MS = 3_000
const HURRIED_MOST_MS = 6_000

/** Sooner at first: nearly everybody has everything at once. */
const FIRST_LOOK_MS = 20
const LAST_LOOK_MS = 500

/** A connection that the kernel's table lacks so often in a row is not in it: there is none, or no such table. */
const MISSING_FOR_GOOD = 10

/** The world as it is, unless a test says otherwise. */
export interface Surroundings {
  look(raw: Channel['raw']): Promise<TcpState | undefined>
  nowMs(): number
  wait(milliseconds: number): Promise<unknown>
}

const REAL: Surroundings = { look: tcpState, nowMs: () => performance.now(), wait: (ms) => setTimeout(ms) }

/** Resolves when the connection is broken off, or left to the system with all that was written. Never throws. */
export const resetWhenArrived = async (wire: Wire, patience: Patience): Promise<void> => {
  const hasArrived = await untilArrived(wire, patience)
  if (hasArrived || wire.socket.writableLength > 0) breakOff(wire)
  else wire.raw.destroy()
}

/** Behind everything that was written: a socket waits for that by itself, but not for what TLS holds above it. */
const breakOff = ({ socket, raw }: Wire): void => {
  if (socket === raw || socket.writableLength === 0) raw.resetAndDestroy()
  else socket.write(NOTHING, () => raw.resetAndDestroy())
}

const NOTHING = Buffer.alloc(0)

/**
 * Resolves when everything that was written has been acknowledged, or when it has had time enough. Never throws.
 *
 * @returns whether it is known to have arrived
 */
export const untilArrived = async (
  { socket, raw }: Wire,
  { stallMs, hurry }: Patience,
  { look, nowMs, wait }: Surroundings = REAL,
): Promise<boolean> => {
  const startedMs = nowMs()
  let hurriedMs: number | undefined
  let movedMs = startedMs
  let leftBefore = Number.POSITIVE_INFINITY
  let missing = 0
  for (let lookMs = FIRST_LOOK_MS; !raw.destroyed && !socket.destroyed; lookMs = Math.min(lookMs * 1.2, LAST_LOOK_MS)) {
    const state = await look(raw)
    missing = state === undefined ? missing + 1 : 0
    const now = nowMs()
    if (state !== undefined) {
      const left = socket.writableLength + state.unacknowledgedBytes
      if (left === 0) return true
      if (left !== leftBefore) movedMs = now
      leftBefore = left
    } else if (socket.writableLength === 0 && missing >= MISSING_FOR_GOOD) return false
    if (hurry.aborted) hurriedMs ??= now
    const isStill = now - Math.max(movedMs, hurriedMs ?? 0) >= (hurriedMs === undefined ? stallMs : HURRIED_STALL_MS)
    const isOver = hurriedMs === undefined ? now - startedMs >= MOST_MS : now - hurriedMs >= HURRIED_MOST_MS
    if (isStill || isOver) return false
    await wait(hurry.aborted ? FIRST_LOOK_MS : lookMs)
  }
  return false
}
