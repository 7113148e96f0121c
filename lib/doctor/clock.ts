/**
 * Does the wall clock agree with what was written down before?
 *
 * A clock that stands in the past gives backups wrong labels, and whoever deletes the oldest
 * one deletes the newest. Deadlines do not depend on it.
 */

import type { JobRecord } from '../history/index.ts'
import { type Finding, ok, warn } from './finding.ts'

/** Files of a server on another host's disk, and the clock's own small steps. */
const TOLERATED_MS = 120_000

/** The first version was written later than this. */
const EARLIEST_MS = Date.UTC(2026, 0, 1)

export interface Instants {
  readonly nowMs: number
  readonly jobs: readonly JobRecord[]
  /** Of the server's files; undefined where they could not be seen. */
  readonly newestFileMs: number | undefined
}

export const checkClock = ({ nowMs, jobs, newestFileMs }: Instants): Finding => {
  const now = new Date(nowMs).toISOString().slice(0, 19)
  const newestJobMs = Math.max(
    ...jobs.map((job) => Date.parse(job.state === 'running' ? job.startedAt : job.endedAt)),
    EARLIEST_MS,
  )
  const ahead = [
    { what: 'the history', ms: newestJobMs },
    { what: "the server's files", ms: newestFileMs ?? EARLIEST_MS },
  ].find(({ ms }) => ms > nowMs + TOLERATED_MS)
  if (ahead === undefined) return ok('clock', `${now} UTC`)
  const seconds = Math.round((ahead.ms - nowMs) / 1000)
  return warn('clock', `${now} UTC, and ${ahead.what} is ${seconds} s ahead of it`, 'set the clock: timedatectl', {
    seconds,
  })
}
