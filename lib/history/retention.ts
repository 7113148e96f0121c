/**
 * Which jobs the history may forget.
 *
 * Only ended ones: what has not ended may still be running. The newest few stay however
 * old they seem, because a clock that was wrong for a minute must not cost the memory.
 * Pure.
 */

import { isEnded } from './job-ledger.ts'
import type { JobRecord } from './job-record.ts'

export interface Retention {
  /** Ended jobs to remember. A quarter more may stand in the file before it is written anew. */
  readonly maxJobs: number
  /** Since their end. A tenth more may pass before the file is written anew. */
  readonly maxAgeDays: number
  /** The newest so many stay, whatever their age. */
  readonly minJobs: number
}

export const DEFAULT_RETENTION: Retention = { maxJobs: 1000, maxAgeDays: 400, minJobs: 20 }

const DAY_MS = 86_400_000

/** @returns ids of the jobs to forget */
export const outdated = (jobs: readonly JobRecord[], retention: Retention, nowMs: number): ReadonlySet<string> => {
  const ended = jobs.filter(isEnded)
  const oldest = nowMs - retention.maxAgeDays * DAY_MS
  const tooMany = ended.length - retention.maxJobs
  const newest = ended.length - retention.minJobs
  const out = ended.filter((record, at) => at < tooMany || (at < newest && Date.parse(record.endedAt) < oldest))
  return new Set(out.map(({ job }) => job))
}

/** Whether it is time to forget: not at every job, as each time costs a new file. */
export const forgettingIsDue = (jobs: readonly JobRecord[], retention: Retention, nowMs: number): boolean => {
  const { maxJobs, maxAgeDays } = retention
  const lenient = { ...retention, maxJobs: Math.ceil(maxJobs * 1.25), maxAgeDays: maxAgeDays * 1.1 }
  return outdated(jobs, lenient, nowMs).size > 0
}
