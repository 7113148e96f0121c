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
import type { WordsSeen } from './words-reader.ts'

export interface EndOfProgram {
  /** Name of the program, as a person knows it. */
  readonly name: string
  readonly user: string | undefined
  readonly end: ChildEnd
  readonly seen: WordsSeen
  /** Why it was stopped by us, if it was. */
  readonly cancelled: unknown
}

/** Lines of stderr that an error carries. */
const DECISIVE_LINES = 5

/** @returns `undefined` for a success */
export const classifyFailure = ({ name, user, end, seen, cancelled }: EndOfProgram): BackupError | undefined => {
  const { exitCode, signal } = end
  const { signs, saidOk } = seen
  if (exitCode === 0 && signal === undefined && saidOk) return undefined
  if (cancelled !== undefined) return reasonOf(cancelled)

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
    return new BackupError(
      'ENGINE_REDO_OVERRUN',
      `the server overwrote redo log before it was copied: ${signs.redoOverrun}`,
      facts,
      { hint: 'make innodb_log_file_size larger, or run the backup when less is written' },
    )
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
