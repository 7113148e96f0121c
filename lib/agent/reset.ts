/**
 * Breaks a connection off so that the peer has everything that was sent, and nothing more.
 *
 *     written ──▶ taken by the system ──▶ acknowledged by the peer's system ──▶ reset
 *
 * A reset throws away what is still on its way, and then the stream ends wherever the
 * network happened to be: possibly between two members, where tar takes it for whole. So
 * the bytes that were let go, which end where tar refuses to end, are given time to
 * arrive. Rule: PROTOCOL.md, "Ends of a stream".
 */

import type { Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'

import { tcpState } from './tcp-table.ts'

/** A reader that is slower than this with what is in two sockets' buffers is not going to finish. */
const ARRIVE_MS = 120_000

const LOOK_MS = 20

/** A connection that the kernel's table lacks so often in a row is not in it: there is none, or no such table. */
const MISSING_FOR_GOOD = 10

/** The same when the agent itself is about to end. */
const HURRIED_MS = 3_000

/**
 * Resolves when the connection is gone. Never throws.
 *
 * @param hurry aborts when the agent is told to end: the peer gets little time then
 */
export const resetWhenArrived = async (socket: Socket, hurry: AbortSignal): Promise<void> => {
  await untilArrived(socket, hurry)
  socket.resetAndDestroy()
}

/** Resolves when everything that was written has been acknowledged, or when it has had time enough. */
export const untilArrived = async (socket: Socket, hurry: AbortSignal): Promise<void> => {
  let deadline = performance.now() + ARRIVE_MS
  const onHurry = (): void => {
    deadline = Math.min(deadline, performance.now() + HURRIED_MS)
  }
  let missing = 0
  if (hurry.aborted) onHurry()
  else hurry.addEventListener('abort', onHurry, { once: true })
  while (!socket.destroyed && performance.now() < deadline) {
    if (socket.writableLength === 0) {
      const state = await tcpState(socket)
      missing = state === undefined ? missing + 1 : 0
      if (state?.unacknowledgedBytes === 0 || missing === MISSING_FOR_GOOD) break
    }
    await setTimeout(LOOK_MS)
  }
  hurry.removeEventListener('abort', onHurry)
}
