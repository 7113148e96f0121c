/**
 * Notices that the other machine has gone without a word: its network was cut, or its power.
 *
 * Such a peer acknowledges nothing, and the kernel goes on trying for a quarter of an hour.
 * A peer that is merely slow answers every probe of the kernel, however long it reads
 * nothing: it is the stall guard's business, not ours.
 */

import { setTimeout as delay } from 'node:timers/promises'

import { BackupError } from '../errors/index.ts'
import type { Wire } from './reset.ts'
import { type TcpState, tcpState } from './tcp-table.ts'

const LOOK_MS = 1_000

/** While nothing waits to be sent: the table of a busy host is long. */
const IDLE_LOOK_MS = 10_000

/** One may be on its way; two in a row have been lost. */
const LOST = 2

/**
 * Looks until the signal aborts.
 *
 * @param limitMs how long the peer may leave everything unanswered
 * @param onUnreachable called once at most
 */
export const watchReachability = async (
  { socket, raw }: Wire,
  limitMs: number,
  signal: AbortSignal,
  onUnreachable: (error: BackupError) => void,
  look: (raw: Wire['raw']) => Promise<TcpState | undefined> = tcpState,
): Promise<void> => {
  let silentSinceMs: number | undefined
  while (!signal.aborted) {
    const unanswered = (await look(raw))?.unanswered ?? 0
    const now = performance.now()
    if (unanswered < LOST) silentSinceMs = undefined
    else silentSinceMs ??= now
    if (silentSinceMs !== undefined && now - silentSinceMs >= limitMs) {
      onUnreachable(unreachable(limitMs))
      return
    }
    const isIdle = socket.writableLength === 0 && silentSinceMs === undefined
    await delay(isIdle ? IDLE_LOOK_MS : LOOK_MS, undefined, { signal }).catch(() => undefined)
  }
}

const unreachable = (limitMs: number): BackupError =>
  new BackupError(
    'JOB_CLIENT_UNREACHABLE',
    `the client's machine has answered nothing for ${limitMs / 1000} s`,
    { limitMs },
    { hint: 'the network between the two machines was cut, or the client machine is down' },
  )
