/**
 * Says why a backup program did not succeed, as one error with a hint that a DBA can act on.
 *
 * Success is an exit with 0, no signal, and `completed OK!` as the last words; nothing
 * less. The order of the causes below is from the particular to the general.
 *
 * Pure. Never a secret in message, facts or hint: it sees redacted words only.
 */

import { BackupError, type Facts } from '../errors/index.ts'
import type { ChildEnd } from './child.ts'
import { redoOverrunError } from './redo-overrun.ts'
import type { WordsSeen } from './words-reader.ts'

export interface EndOfProgram {
  /** Name of the program, as a person knows it. */
  readonly name: string
  readonly user: string | undefined
  readonly end: ChildEnd
  readonly seen: WordsSeen
  /** Why it was stopped by us, if it was. */
  readonly cancelled: unknown
  /** What was to be locked before it ran, if anything. */
  readonly lock?: LockAttempt | undefined
  /** Size of the server's redo log, if it was seen. */
  readonly redoCapacityBytes?: number | undefined
}

export interface LockAttempt {
  readonly path: string
  /** Somebody else had it: the program never ran. */
  readonly isHeld: boolean
  /** Process id of that somebody, if it can be seen. */
  readonly holder?: number | undefined
}

/** What `flock` says when it cannot try for the lock; that it cannot start the program is the program's failure. */
const FLOCK_FAILED = /^flock: (?!failed to execute)/

/** Lines of stderr that an error carries. */
const DECISIVE_LINES = 5

/** @returns `undefined` for a success */
export const classifyFailure = (program: EndOfProgram): BackupError | undefined => {
  const { name, user, end, seen, cancelled, lock, redoCapacityBytes } = program
  const { exitCode, signal } = end
  const { signs, saidOk } = seen
  if (exitCode === 0 && signal === undefined && saidOk) return undefined
  if (cancelled !== undefined) return reasonOf(cancelled)

  if (lock?.isHeld === true) return busyError(lock)
  const lines = decisiveLines(seen)
  const facts: Facts = { exitCode: exitCode ?? null, signal: signal ?? null, lastLines: lines }
  const cause = lines.at(-1) ?? 'it said nothing'
  if (exitCode === 0 && signal === undefined) {
    return new BackupError(
      'ENGINE_NO_OK',
      `${name} exited with 0 but its last words are not "completed OK!": ${cause}`,
      facts,
      {
        hint: 'look at the lines above it in the log; there is no backup',
      },
    )
  }
  if (signs.login !== undefined) {
    return new BackupError('ENGINE_LOGIN', `the database refused the login: ${signs.login}`, facts, {
      hint: 'check user and password on the database host, and that the account may connect from localhost',
    })
  }
  if (signs.privileges.size > 0) return privilegeError([...signs.privileges], signs.account, user, facts)
  if (signs.redoOverrun !== undefined) {
    return redoOverrunError({ name, said: signs.redoOverrun, range: signs.redoRange, redoCapacityBytes }, facts)
  }
  if (lock !== undefined && FLOCK_FAILED.test(cause)) {
    return new BackupError('ENGINE_LOCK', `the lock of the server cannot be used: ${cause}`, facts, {
      hint: `check that the agent may read ${lock.path}, and that its file system knows flock(2)`,
    })
  }
  const how = signal === undefined ? `exited with ${exitCode}` : `was killed by ${signal}`
  if (signs.unreachable !== undefined) {
    return new BackupError('ENGINE_FAILED', `${name} could not reach the server: ${signs.unreachable}`, facts, {
      hint: 'check that the server runs, and give its socket with --socket or an option file with --defaults-file',
    })
  }
  if (signs.lockTimeout !== undefined) {
    return new BackupError('ENGINE_FAILED', `${name} ${how}: it did not get its lock in time`, facts, {
      hint: 'another backup, a long query or LOCK TABLES holds it: see SHOW FULL PROCESSLIST, then try again',
    })
  }
  const contradiction = saidOk ? ' after it had said "completed OK!"' : ''
  return new BackupError('ENGINE_FAILED', `${name} ${how}${contradiction}: ${cause}`, facts, {
    hint:
      signal === 'SIGKILL'
        ? 'look for the out-of-memory killer in the system log, or for whoever killed it'
        : 'the last lines it wrote are in the log',
  })
}

/** In the words in which an agent refuses a second backup of its own. */
const busyError = ({ path, holder }: LockAttempt): BackupError => {
  const who = holder === undefined ? '' : ` (pid ${holder})`
  const look = holder === undefined ? 'lslocks shows who holds it' : `see ps -fp ${holder}`
  return new BackupError(
    'JOB_BUSY',
    `busy: another backup of this server is running${who}`,
    { lock: path, holder: holder ?? null },
    { hint: `wait for it to end; it holds the lock on ${path}: ${look}` },
  )
}

const privilegeError = (
  privileges: readonly string[],
  account: string | undefined,
  user: string | undefined,
  facts: Facts,
): BackupError => {
  const list = privileges.join(', ')
  const who = account ?? (user === undefined ? 'the backup user' : `'${user}'@'localhost'`)
  return new BackupError(
    'ENGINE_PRIVILEGE',
    `the database user ${who} lacks ${list}`,
    { ...facts, privileges },
    { hint: `run on the server, as an administrator: GRANT ${list} ON *.* TO ${who}` },
  )
}

/** What sounds like an error, else simply the last words. */
const decisiveLines = ({ signs, lastLines }: WordsSeen): readonly string[] =>
  (signs.errors.length > 0 ? signs.errors : lastLines).slice(-DECISIVE_LINES)

const reasonOf = (cancelled: unknown): BackupError =>
  cancelled instanceof BackupError
    ? cancelled
    : new BackupError('JOB_CANCELLED', 'the backup was cancelled', {}, { cause: cancelled })
