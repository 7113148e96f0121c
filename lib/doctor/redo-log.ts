/**
 * Could the server overwrite its redo log before a backup has copied it?
 *
 *     bytes of data / speed = seconds of a backup
 *     seconds × what the server writes a second, now   must fit into the redo log, half as much again
 *
 * A log that holds everything written meanwhile cannot be overrun. A smaller one often goes
 * well, so that this only warns. The speed is that of the last backup, where one is remembered.
 * Pure.
 */

import type { JobRecord } from '../history/index.ts'
import { type Finding, inBytes, ok, warn } from './finding.ts'

const MIB = 1024 * 1024
/** A disk of today under a server that works; only until the first backup has shown it. */
const ASSUMED_BYTES_PER_SECOND = 100 * MIB
const RESERVE = 1.5
const STEP_BYTES = 16 * MIB

export interface RedoFacts {
  readonly capacityBytes: number
  readonly dataBytes: number
  /** Bytes that the server wrote into its redo log a second, while it was looked at. */
  readonly writtenPerSecond: number
  readonly jobs: readonly JobRecord[]
}

export const checkRedoLog = ({ capacityBytes, dataBytes, writtenPerSecond, jobs }: RedoFacts): Finding => {
  const bytesPerSecond = lastSpeed(jobs) ?? ASSUMED_BYTES_PER_SECOND
  const seconds = dataBytes / bytesPerSecond
  const neededBytes = Math.ceil(seconds * writtenPerSecond * RESERVE)
  const facts = {
    capacityBytes,
    neededBytes,
    writtenPerSecond: Math.round(writtenPerSecond),
    seconds: Math.ceil(seconds),
  }
  const rate = `${inBytes(writtenPerSecond)}/s written now`
  if (neededBytes <= capacityBytes) return ok('redo log', `${inBytes(capacityBytes)}, ${rate}`, facts)
  const larger = Math.ceil(neededBytes / STEP_BYTES) * STEP_BYTES
  return warn(
    'redo log',
    `${inBytes(capacityBytes)}, ${rate}: a backup of ${Math.ceil(seconds)} s may be overrun`,
    `SET GLOBAL innodb_log_file_size=${larger} (MariaDB 10.9 and later), or back up when less is written`,
    facts,
  )
}

/** Of a backup that came through: what its client's slowness cost is in it, which is on the safe side. */
const lastSpeed = (jobs: readonly JobRecord[]): number | undefined => {
  for (const job of jobs.toReversed()) {
    if (job.state !== 'delivered' && job.state !== 'sent-unconfirmed') continue
    if (job.bytes !== undefined && job.seconds !== undefined && job.seconds > 0) return job.bytes / job.seconds
  }
  return undefined
}
