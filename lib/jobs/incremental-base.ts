/**
 * Finds the backup that an incremental one is to be based on, and refuses one that must not be.
 *
 *     base-sid                    the newest backup of that session
 *     base-sid, incremental-lsn   the newest of that session that ended exactly there
 *     incremental-lsn             nobody knows the base: the client's word is taken
 *
 * The backup programs take every number, also one that is no backup's or another server's,
 * and end well: what comes out is found to be wrong when it is prepared, or never. So a base
 * must be known to be whole (`delivered`: its client has counted and hashed every byte), of
 * this very data directory, made by the same program with the same options. That it is an increment itself is fine:
 * so chains are made. `sent-unconfirmed` is not enough, for nobody knows that it exists.
 *
 * Pure. Rules: PROTOCOL.md, "Incremental backups".
 */

import { BackupError, type ErrorCode, type Facts } from '../errors/index.ts'
import type { Requested } from '../history/index.ts'
import type { RememberedJob } from './job-memory.ts'
import { type ServerIdentity, serverDifference } from './server-identity.ts'

export interface WantedBase {
  readonly lsn: string | undefined
  readonly baseSid: string | undefined
}

export interface IncrementalBase {
  /** The backup begins behind it. */
  readonly lsn: string
  /** Absent when the client's word was taken. */
  readonly known?: { readonly sid: string; readonly job: string; readonly sha256?: string | undefined }
}

/** What the next backup would be made of. */
export interface Here {
  /** Name of the engine. */
  readonly engine: string
  readonly server: ServerIdentity
  /** Name of the operator's set of options that the client has chosen. */
  readonly options?: string | undefined
}

/**
 * @param jobs in the order in which they began
 * @throws BackupError `JOB_BASE_UNKNOWN`, `JOB_BASE_UNVERIFIED`, `JOB_BASE_FOREIGN`, `JOB_BASE_LSN`
 */
export const findBase = (wanted: WantedBase, jobs: readonly RememberedJob[], here: Here): IncrementalBase => {
  const { baseSid, lsn } = wanted
  if (baseSid === undefined) {
    if (lsn === undefined) throw new Error('bug: an incremental backup on nothing')
    checkServerLsn(lsn, here.server)
    return { lsn }
  }
  const job = chosen(baseSid, lsn, jobs)
  checkVerified(job)
  checkOrigin(job, here)
  const baseLsn = endOf(job)
  if (lsn !== undefined && lsn !== baseLsn) {
    throw refused('JOB_BASE_LSN', `${nameOf(job)} ends at LSN ${baseLsn}, and the request says ${lsn}`, {
      hint: 'the session has been used again since: name the base by incremental-lsn alone, or take a full backup',
      facts: { baseLsn, askedLsn: lsn },
    })
  }
  checkServerLsn(baseLsn, here.server)
  return { lsn: baseLsn, known: { sid: job.sid, job: job.job, sha256: job.sha256 } }
}

/** Where there are several, the one that fits what was asked; else the newest, which says what is wrong. */
const chosen = (sid: string, lsn: string | undefined, jobs: readonly RememberedJob[]): RememberedJob => {
  const ofSession = jobs.filter((job) => job.sid === sid)
  const exact = lsn === undefined ? undefined : ofSession.findLast((job) => job.lsn?.checkpoint === lsn)
  const job = exact ?? ofSession.at(-1)
  if (job !== undefined) return job
  throw refused('JOB_BASE_UNKNOWN', `no backup of the session "${sid}" is remembered here, so none can be built upon`, {
    hint: `take a full backup, or, if its archive is known to be whole, ${BY_LSN}`,
  })
}

const BY_LSN = 'name where it ended (to_lsn in its xtrabackup_checkpoints) by incremental-lsn alone'

const WHY_UNVERIFIED: Readonly<Record<Exclude<RememberedJob['state'], 'delivered'>, string>> = {
  running: 'is still running',
  'sent-unconfirmed': 'was sent, and its client has not confirmed that it arrived',
  failed: 'has failed',
  cancelled: 'was cancelled',
  interrupted: 'was interrupted',
}

const checkVerified = (job: RememberedJob): void => {
  const { state } = job
  if (state === 'delivered') return
  throw refused('JOB_BASE_UNVERIFIED', `${nameOf(job)} ${WHY_UNVERIFIED[state]}: nothing can be built upon it`, {
    hint:
      state === 'running'
        ? 'ask again when it is delivered'
        : state === 'sent-unconfirmed'
          ? `a framed stream of 0.77 is confirmed; if its archive is known to be whole, ${BY_LSN}`
          : 'take a full backup, or build upon one that was delivered: backup-agent history lists them',
    facts: { outcome: state },
  })
}

const checkOrigin = (job: RememberedJob, { engine, server, options }: Here): void => {
  const hint = 'take a full backup'
  if (job.engine !== engine) {
    throw refused('JOB_BASE_FOREIGN', `${nameOf(job)} was made by ${job.engine}, and this agent runs ${engine}`, {
      hint,
    })
  }
  // They may leave tables out: the changed pages of one that the base does not have are no table.
  const before = job.requested['options']
  if (before !== options) {
    const [had, has] = [optionsNamed(before), optionsNamed(options)]
    throw refused('JOB_BASE_FOREIGN', `${nameOf(job)} was made with ${had}, and this request asks for ${has}`, {
      hint: 'name the same set of options as for the base, or take a full backup',
    })
  }
  const difference = serverDifference(job.server, server)
  if (difference === undefined) return
  throw refused('JOB_BASE_FOREIGN', `${nameOf(job)} is of another server than this: ${difference}`, { hint })
}

const optionsNamed = (name: Requested[string] | undefined): string =>
  name === undefined ? 'no set of options' : `the options ${name}`

const endOf = (job: RememberedJob): string => {
  const lsn = job.lsn?.checkpoint
  if (lsn !== undefined) return lsn
  throw refused('JOB_BASE_LSN', `${nameOf(job)} does not say at which LSN it ends`, {
    hint: `take a full backup, or ${BY_LSN}`,
  })
}

const checkServerLsn = (lsn: string, server: ServerIdentity): void => {
  if (server.lsn === undefined || BigInt(lsn) <= BigInt(server.lsn)) return
  throw refused('JOB_BASE_LSN', `the base ends at LSN ${lsn}, and this server has come to ${server.lsn} only`, {
    hint: 'it is of another server, or this one was restored from an older backup: take a full backup',
    facts: { baseLsn: lsn, serverLsn: server.lsn },
  })
}

const nameOf = ({ sid, startedAt }: RememberedJob): string => `the backup of the session "${sid}" of ${startedAt}`

const refused = (
  code: ErrorCode,
  message: string,
  { hint, facts = {} }: { readonly hint: string; readonly facts?: Facts },
): BackupError => new BackupError(code, message, facts, { hint })
