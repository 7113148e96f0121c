/**
 * What the sessions of an agent share: settings and parts become one context, and nothing is decided.
 *
 *     settings ──▶ limits, places, sizes ─┐
 *     instances ──────────────────────────┼─▶ SessionContext
 *     memory, jobs, hurry ────────────────┘   these live as long as the agent
 */

import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'

import {
  type AgentSettings,
  DEFAULT_MEMORY_BYTES,
  DEFAULT_SECONDS,
  DEFAULT_SPILL_BYTES,
  DEFAULT_SPOOL_BYTES,
  DEFAULT_SPOOL_DIRECTORY,
  type Deadlines,
  PRODUCT,
  SPILL_MEMORY_BYTES,
} from '../config/index.ts'
import { uptimeMs } from '../log/index.ts'
import type { Access } from './access.ts'
import type { Instances } from './instance.ts'
import { namedRoles } from './roles.ts'
import type { SessionContext } from './session.ts'

/** What stays the same as long as the agent lives, whatever its settings become. */
export type LastingParts = Pick<
  SessionContext,
  'memory' | 'debts' | 'jobs' | 'hurry' | 'startedMs' | 'runtimeDirectory'
>

export const makeSessionContext = (
  settings: Partial<AgentSettings>,
  instances: Instances,
  parts: LastingParts,
): SessionContext => {
  const seconds: Deadlines = { ...DEFAULT_SECONDS, ...settings.seconds }
  const spoolDirectory = settings.spoolDirectory ?? DEFAULT_SPOOL_DIRECTORY
  return {
    ...parts,
    ...instances.first,
    instances,
    optionSets: settings.optionSets ?? {},
    access: accessOf(settings, instances),
    grant: { caller: undefined, sees: () => true },
    product: PRODUCT,
    requestDeadlineMs: seconds.request * 1000,
    receiptMs: seconds.receipt * 1000,
    networkMs: seconds.network * 1000,
    limits: watchLimits(seconds),
    memoryBytes: settings.memoryBytes ?? DEFAULT_MEMORY_BYTES,
    spool: { directory: spoolDirectory, maxBytes: settings.spoolBytes ?? DEFAULT_SPOOL_BYTES },
    spill: {
      memoryBytes: SPILL_MEMORY_BYTES,
      disk: { directory: spoolDirectory, maxBytes: settings.spillBytes ?? DEFAULT_SPILL_BYTES },
    },
    makeSid: randomUUID,
    makeId: randomUUID,
    nowMs: uptimeMs,
    wait: async (milliseconds, signal) => {
      await delay(milliseconds, undefined, { signal }).catch(() => undefined)
    },
  }
}

/** As soon as there is one role, whoever has none is refused. */
const accessOf = (settings: Partial<AgentSettings>, instances: Instances): Access | undefined => {
  const { roles = {}, tokensFile, optionSets = {} } = settings
  if (Object.keys(roles).length === 0) return undefined
  return { roles: namedRoles(roles), tokensFile, instances, optionSets, wallClockMs: Date.now }
}

const watchLimits = ({ start, lockWait, hang, locked, stall }: Deadlines): SessionContext['limits'] => ({
  startMs: start * 1000,
  lockWaitMs: lockWait * 1000,
  hangMs: hang * 1000,
  lockedHangMs: locked * 1000,
  lockedStallMs: locked * 1000,
  lockedWaitMs: locked * LOCKED_WAITS * 1000,
  stallMs: stall * 1000,
})

/** A receiver that takes a byte now and then may hold the locks for so many times the limit, in all. */
const LOCKED_WAITS = 6
