/**
 * What `monitor` answers: one block for each backup that is remembered, the newest first.
 *
 *     8\n
 *     sid=/srv/backups/Nightly/20240311020001\n
 *     type=full\n
 *     start_time=1710115201\n      epoch seconds
 *     end_time=1710115317\n        -1 while unknown, as every number here
 *     backup_size=734003200\n      bytes of the archive
 *     status=success\n             failure, or the agent's process number while it runs
 *     files=412\n                  members of the archive
 *     message=…\n
 *     \n
 *
 * No count stands before the blocks: the end of the connection ends them, and a client that
 * can read the end behind the last block can read it behind `READY` as well. So an empty
 * answer is `READY` alone; a block that says "none" would be taken for a backup.
 *
 * Pure. Keys: PROTOCOL.md, "monitor".
 */

import type { RememberedJob } from '../jobs/index.ts'
import { type BackupLevel, fitting, type MonitorRequest, writeKvBlock, writeReady } from '../protocol/index.ts'
import { outcomeWords } from './outcome-words.ts'

type Filters = Pick<MonitorRequest, 'sid' | 'type' | 'newerThan' | 'maxItems'>

/**
 * @param jobs in the order in which they began
 * @returns `READY` and the blocks
 */
export const monitorBlocks = (jobs: readonly RememberedJob[], filters: Filters): Buffer[] => {
  const { sid, type, newerThan, maxItems } = filters
  const wanted = [...jobs]
    .reverse()
    .filter((job) => sid === undefined || job.sid === sid)
    .filter((job) => type === undefined || levelOf(job) === type)
    .filter((job) => newerThan === undefined || epochSeconds(job.startedAt) > newerThan)
  return [writeReady(), ...wanted.slice(0, maxItems ?? wanted.length).map(jobBlock)]
}

/** A job of an earlier version of ours that does not say was a full one: there were no others. */
const levelOf = ({ requested }: RememberedJob): BackupLevel =>
  Number(requested['backup-level']) === 1 ? 'incremental' : 'full'

const jobBlock = (job: RememberedJob): Buffer => {
  const { sid, startedAt, endedAt, bytes, members } = job
  return writeKvBlock([
    ['sid', fitting(sid)],
    ['type', levelOf(job)],
    ['start_time', String(epochSeconds(startedAt))],
    ['end_time', String(endedAt === undefined ? UNKNOWN : epochSeconds(endedAt))],
    ['backup_size', String(bytes ?? UNKNOWN)],
    ['status', statusOf(job)],
    ['files', String(members ?? UNKNOWN)],
    ['message', fitting(outcomeWords(job))],
  ])
}

const UNKNOWN = -1

/** Clients of 0.76 confirm nothing: for them a backup that was sent whole is as good as it gets. */
const statusOf = ({ state, process }: RememberedJob): string => {
  if (state === 'running') return String(process.pid)
  return state === 'delivered' || state === 'sent-unconfirmed' ? 'success' : 'failure'
}

const epochSeconds = (label: string): number => Math.floor(Date.parse(label) / 1000)
