/**
 * Whether the history tells of every job once, and right.
 *
 * Injections note what they know while they run; the audit compares at the end, when the
 * last agent has stopped.
 */

import type { AgentHome, HistoryRow } from './agent-home.ts'
import type { Tally } from './tally.ts'

export interface ExpectedJob {
  readonly sid: string
  /** How it may have ended. */
  readonly states: readonly string[]
  /** Refused before it was a job, perhaps. */
  readonly mayBeMissing?: boolean
  /** Digest of the whole archive that the client has; undefined when it has none. */
  readonly received?: string | undefined
}

/** Every way in which a job can have ended. Source: `lib/history/job-record.ts`, which the README repeats. */
const TERMINAL = ['delivered', 'sent-unconfirmed', 'failed', 'cancelled', 'interrupted']

export const auditHistory = async (home: AgentHome, expected: readonly ExpectedJob[], tally: Tally): Promise<void> => {
  for (const problem of auditRows(await home.history(), expected)) tally.charge('wrongRows', problem)
}

/** @returns what is wrong, in sentences */
export const auditRows = (rows: readonly HistoryRow[], expected: readonly ExpectedJob[]): string[] => {
  const bySid = new Map<string, HistoryRow[]>()
  for (const row of rows) bySid.set(row.sid, [...(bySid.get(row.sid) ?? []), row])
  const strangers = [...bySid.keys()].filter((sid) => !expected.some((job) => job.sid === sid))
  return [
    ...expected.flatMap((job) => wrong(job, bySid.get(job.sid) ?? []).map((problem) => `${job.sid}: ${problem}`)),
    ...strangers.map((sid) => `${sid}: a job that nobody asked for`),
  ]
}

const wrong = ({ states, received, mayBeMissing = false }: ExpectedJob, rows: readonly HistoryRow[]): string[] => {
  const [row] = rows
  if (row === undefined) return mayBeMissing ? [] : ['no row']
  if (rows.length > 1) return [`${rows.length} rows`]
  const problems = [
    ...(TERMINAL.includes(row.state) ? [] : [`is still ${row.state}`]),
    ...(states.includes(row.state) ? [] : [`is ${row.state} ${row.code ?? ''}, expected ${states.join(' or ')}`]),
  ]
  const saysComplete = row.state === 'delivered' || row.state === 'sent-unconfirmed'
  if (row.state === 'delivered' && received === undefined) problems.push('is delivered, and the client has no backup')
  if (row.state === 'failed' && received !== undefined) problems.push('is failed, and the client has a whole backup')
  if (saysComplete && received !== undefined && row.sha256 !== undefined && row.sha256 !== received) {
    problems.push('has another digest than what the client has')
  }
  return problems
}
