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

import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'

/** A reader that is slower than this with what is in two sockets' buffers is not going to finish. */
const ARRIVE_MS = 120_000

const LOOK_MS = 20

/** The same when the agent itself is about to end. */
const HURRIED_MS = 3_000

/**
 * Resolves when the connection is gone. Never throws.
 *
 * @param hurry aborts when the agent is told to end: the peer gets little time then
 */
export const resetWhenArrived = async (socket: Socket, hurry: AbortSignal): Promise<void> => {
  let deadline = performance.now() + ARRIVE_MS
  const onHurry = (): void => {
    deadline = Math.min(deadline, performance.now() + HURRIED_MS)
  }
  if (hurry.aborted) onHurry()
  else hurry.addEventListener('abort', onHurry, { once: true })
  const { localPort, remotePort } = socket
  while (!socket.destroyed && performance.now() < deadline) {
    if (socket.writableLength === 0 && (await unacknowledgedBytes(localPort, remotePort)) === 0) break
    await setTimeout(LOOK_MS)
  }
  hurry.removeEventListener('abort', onHurry)
  socket.resetAndDestroy()
}

/**
 * Bytes that the system has taken and the peer's has not acknowledged.
 *
 * Source: the column `tx_queue` of /proc/net/tcp and tcp6 (proc(5)), numbers in hexadecimal. 0 where there is no such
 * line, or no such file: then nothing can be waited for.
 */
const unacknowledgedBytes = async (localPort?: number, remotePort?: number): Promise<number> => {
  const port = (number = 0): string => number.toString(16).toUpperCase().padStart(4, '0')
  const line = new RegExp(
    `^ *\\d+: [0-9A-F]+:${port(localPort)} [0-9A-F]+:${port(remotePort)} [0-9A-F]{2} ([0-9A-F]{8}):`,
  )
  let bytes = 0
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const table = await readFile(file, 'latin1').catch(() => '')
    for (const text of table.split('\n')) bytes += Number.parseInt(line.exec(text)?.[1] ?? '0', 16)
  }
  return bytes
}
