/**
 * Says in the log, now and once a day, which certificates are about to expire.
 *
 *     today ─▶ a day later ─▶ … until the agent ends
 *
 * Only says: an agent whose certificate has expired goes on serving whoever takes it.
 */

import type { Wait } from '../flow/index.ts'
import type { Logger } from '../log/index.ts'

const DAY_MS = 86_400_000

export interface ExpiryWatch {
  /** What is to be said at this time, epoch milliseconds. */
  warnings(nowMs: number): readonly string[]
  readonly nowMs: () => number
  readonly wait: Wait
  readonly signal: AbortSignal
  readonly log: Logger
}

/** Resolves when the signal aborts. */
export const watchExpiry = async ({ warnings, nowMs, wait, signal, log }: ExpiryWatch): Promise<void> => {
  while (!signal.aborted) {
    for (const warning of warnings(nowMs())) log.warn(warning)
    await wait(DAY_MS, signal)
  }
}
