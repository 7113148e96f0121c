/**
 * Can the agent remember: is the state directory its own, has its disk room, is the history whole?
 *
 * If a beginning cannot be written down, no backup starts. Looks only: what is not there is not made.
 */

import { constants } from 'node:fs'
import { access, lstat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'

import { type JobRecord, readHistory } from '../history/index.ts'
import { BackupError } from '../errors/index.ts'
import { type Finding, fail, failedWith, inBytes, ok, warn } from './finding.ts'

/** A year of nightly backups takes less. */
const ENOUGH_BYTES = 16 * 1024 * 1024

export interface Memory {
  readonly findings: readonly Finding[]
  /** The newest last; empty where they could not be read. */
  readonly jobs: readonly JobRecord[]
}

export const checkState = async (directory: string | undefined): Promise<Memory> => {
  if (directory === undefined) {
    return { jobs: [], findings: [warn('state', 'no history is kept', 'leave --no-history out')] }
  }
  try {
    if (!(await isThere(directory))) return { jobs: [], findings: [await checkParent(directory)] }
    const { jobs, damagedLines } = await readHistory(directory)
    return { jobs, findings: [await checkRoom(directory), historyFinding(jobs, damagedLines)] }
  } catch (error) {
    return { jobs: [], findings: [failedWith('state', error)] }
  }
}

const isThere = async (path: string): Promise<boolean> => {
  try {
    await lstat(path)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT'
  }
}

/** The first start of an agent makes it. */
const checkParent = async (directory: string): Promise<Finding> => {
  let parent = dirname(directory)
  while (!(await isThere(parent))) parent = dirname(parent)
  if (!(await mayWrite(parent))) {
    return fail(
      'state',
      `${directory} is not there, and ${parent} is not ours to make it in`,
      `install -d -m 0700 -o USER ${directory}, or name another one with --state-dir`,
    )
  }
  // Root may write everywhere, also where nothing can be made: /proc, /sys.
  const freeBytes = await freeBytesOf(parent)
  return freeBytes < ENOUGH_BYTES
    ? noRoom(parent, freeBytes)
    : ok('state', `${directory} will be made by the first start`)
}

const mayWrite = async (path: string): Promise<boolean> => {
  try {
    await access(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}

const checkRoom = async (directory: string): Promise<Finding> => {
  if (!(await mayWrite(directory))) {
    return fail('state', `${directory} cannot be written to`, 'remount it, or name another one with --state-dir')
  }
  const freeBytes = await freeBytesOf(directory)
  if (freeBytes < ENOUGH_BYTES) return noRoom(directory, freeBytes)
  return ok('state', `${directory}, ${inBytes(freeBytes)} free`, { freeBytes })
}

const freeBytesOf = async (directory: string): Promise<number> => {
  const { bavail, bsize } = await statfs(directory).catch((cause: NodeJS.ErrnoException) => {
    throw new BackupError('HISTORY_DIRECTORY', `the disk of ${directory} tells nothing: ${cause.code}`, {}, { cause })
  })
  return bavail * bsize
}

const noRoom = (directory: string, freeBytes: number): Finding =>
  fail(
    'state',
    `${directory} has ${inBytes(freeBytes)} left, and a backup that cannot be written down does not start`,
    'free some space there, or name another directory with --state-dir',
    { freeBytes },
  )

const historyFinding = (jobs: readonly JobRecord[], damagedLines: number): Finding => {
  const facts = { jobs: jobs.length, damagedLines }
  if (damagedLines > 0) {
    return warn(
      'history',
      `${damagedLines} damaged lines were set aside`,
      'check the disk; *.damaged keeps them',
      facts,
    )
  }
  const last = jobs.at(-1)
  if (last === undefined) return ok('history', 'no backup was asked for yet', facts)
  const { state, startedAt } = last
  const said = `${jobs.length} backups, the last of ${startedAt.slice(0, 16).replace('T', ' ')} UTC: ${state}`
  return state === 'failed' || state === 'interrupted'
    ? warn('history', said, 'see why: backup-agent history --last 1', facts)
    : ok('history', said, facts)
}
