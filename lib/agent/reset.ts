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
 * Whoever stands between, stunnel for one, may throw away what it has not read when it sees the connection break, and
 * nobody tells us what it has read. So it is given the time to read what its system may hold, more if it has been slow.
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

/** How a peer has read so far. */
export interface Pace {
  /** On the wire, as they were sent: not those of the archive in them. */
  readonly bytes: number
  readonly elapsedMs: number
  /** Of these, the time in which nothing could be sent because the peer had not read. */
  readonly blockedMs: number
}

/** What a system holds for a program that reads slowly: the most that Linux lets a connection have by itself (tcp_rmem). */
const PEER_HOLDS_BYTES = 6 * 1024 * 1024

/**
 * What whoever reads at all reads, on a busy machine too. That a peer has never kept us waiting does not say that it is
 * faster: the buffers of two systems, four with a relay between, take the first ten megabytes at any speed.
 */
const LEAST_BYTES_PER_MS = (2 * 1024 * 1024) / 1000

/** The first bytes go faster than the peer reads, and it may become slower. */
const PACE_MARGIN = 4

/** A slower one is not given a window of that size. */
const MOST_READING_MS = 10_000

/** A peer that has kept us waiting for so much of the time is the slow side. */
const SLOW_SHARE = 1 / 10

/** How long a peer may need to read what has arrived. */
export const readingMs = ({ bytes, elapsedMs, blockedMs }: Pace): number => {
  const isSlowSide = elapsedMs > 0 && blockedMs >= elapsedMs * SLOW_SHARE
  const seen = isSlowSide ? bytes / elapsedMs / PACE_MARGIN : Number.POSITIVE_INFINITY
  return bytes === 0
    ? 0
    : Math.min(Math.min(bytes, PEER_HOLDS_BYTES) / Math.min(seen, LEAST_BYTES_PER_MS), MOST_READING_MS)
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
  /** Resolves at the latest when the signal aborts. */
  wait(milliseconds: number, signal?: AbortSignal): Promise<unknown>
}

const REAL: Surroundings = {
  look: tcpState,
  nowMs: () => performance.now(),
  wait: (ms, signal) => setTimeout(ms, undefined, { signal }).catch(() => undefined),
}

/** Resolves when the connection is broken off, or left to the system with all that was written. Never throws. */
export const resetWhenArrived = async (
  wire: Wire,
  patience: Patience,
  pace: Pace,
  world: Surroundings = REAL,
): Promise<void> => {
  const hasArrived = await untilArrived(wire, patience, world)
  if (hasArrived) await untilGone(wire.raw, readingMs(pace), patience.hurry, world)
  if (hasArrived || wire.socket.writableLength > 0) breakOff(wire)
  else wire.raw.destroy()
}

/** Behind everything that was written: a socket waits for that by itself, but not for what TLS holds above it. */
const breakOff = ({ socket, raw }: Wire): void => {
  if (socket === raw || socket.writableLength === 0) raw.resetAndDestroy()
  else socket.write(NOTHING, () => raw.resetAndDestroy())
}

const NOTHING = Buffer.alloc(0)

/** Resolves when so much time is over, or sooner when the peer has gone or we have to. */
const untilGone = async (
  raw: Channel['raw'],
  milliseconds: number,
  hurry: AbortSignal,
  { wait }: Surroundings,
): Promise<void> => {
  if (milliseconds === 0 || raw.destroyed) return
  const gone = new AbortController()
  const onClose = (): void => gone.abort()
  raw.once('close', onClose)
  await wait(milliseconds, AbortSignal.any([gone.signal, hurry]))
  raw.off('close', onClose)
}

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
