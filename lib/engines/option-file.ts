/**
 * Hands a login to a backup program without a trace: no argument, no environment, no file that has a name.
 *
 *     !include /etc/mysql/backup.cnf     the operator's own file, if there is one
 *     [client]
 *     user="backup"
 *     password="a \"b\" \\ #c"
 *     [xtrabackup]                       the same again
 *     …
 *
 * The file is created 0600, unlinked while it is still empty, and only then written.
 * The child gets it as descriptor 3 and reads it as `--defaults-file=/dev/fd/3`; opening
 * that name again opens the very inode, as often as the program likes (mariadb-backup
 * reads it more than once).
 *
 * The login stands in two groups because the programs read option files in two passes,
 * `[client]` first: an operator's `[xtrabackup] user=…` would win over ours. Measured on
 * mariadb-backup 10.11.19. Quoting: tried with odd passwords against my_print_defaults
 * and real logins, see the tests.
 */

import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'

import { BackupError } from '../errors/index.ts'
import { laxOwner, laxWay, laxWriters } from '../trust/index.ts'

export interface Login {
  readonly user?: string | undefined
  readonly password?: string | undefined
}

/** No blank, quote or leading dash: it means the same in an option file, an option and a log. */
const USER_NAME = /^[A-Za-z0-9_$.][A-Za-z0-9_$.-]{0,63}$/

const MAX_PASSWORD_BYTES = 1024

/** The programs read a line into 4096 bytes and a path into 512. */
const MAX_INCLUDE_BYTES = 500

/** A line end would begin a new option (`plugin-dir=…`); the rest has no business in a password either. */
const CONTROL = /[\u0000-\u001f\u007f]/

const LONE_SURROGATE = /\p{Surrogate}/u

/** Groups that mariadb-backup and xtrabackup both read, in the order of their passes. */
const GROUPS = ['client', 'xtrabackup'] as const

/**
 * The text of the option file.
 *
 * @param include absolute path of the operator's file; its values come first, so the login's win
 * @throws BackupError `ENGINE_LOGIN_INVALID` for a user or password that cannot be handed over, `ENGINE_DEFAULTS_FILE`
 */
export const optionFileText = (login: Login, include?: string): string => {
  const lines: string[] = []
  if (include !== undefined) lines.push(`!include ${checkInclude(include)}`)
  const options: string[] = []
  if (login.user !== undefined) options.push(`user=${quote(checkUserName(login.user))}`)
  if (login.password !== undefined) options.push(`password=${quote(checkPassword(login.password))}`)
  for (const group of GROUPS) lines.push(`[${group}]`, ...options)
  return `${lines.join('\n')}\n`
}

/**
 * An open, readable file with the login in it and no name. The caller closes it when the child has been started.
 *
 * @param directory private 0700 directory
 * @throws BackupError as `optionFileText`; also `ENGINE_DEFAULTS_FILE` when the operator's file cannot be read
 */
export const openOptionFile = async (directory: string, login: Login, include?: string): Promise<FileHandle> => {
  const text = optionFileText(login, include)
  if (include !== undefined) await checkReadable(include)
  const path = join(directory, `login-${randomBytes(12).toString('hex')}`)
  const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
  const file = await open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
  try {
    await unlink(path) // before the secret is in it
    await file.writeFile(text)
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}

/** Double quotes keep blanks, `#` and `;`; inside them only the backslash and the quote mean something. */
const quote = (value: string): string => `"${value.replace(/[\\"]/g, '\\$&')}"`

/** @throws BackupError `ENGINE_LOGIN_INVALID` */
export const checkUserName = (user: string): string => {
  if (USER_NAME.test(user)) return user
  throw new BackupError(
    'ENGINE_LOGIN_INVALID',
    'the user name has a form that cannot be handed to the backup program: expected 1 to 64 of A-Z a-z 0-9 _ $ . - and no "-" in front',
    { userBytes: Buffer.byteLength(user) },
    { hint: 'create a database user for backups with a plain name, such as backup' },
  )
}

const checkPassword = (password: string): string => {
  const passwordBytes = Buffer.byteLength(password)
  const problem = CONTROL.test(password)
    ? 'it holds a control character'
    : passwordBytes > MAX_PASSWORD_BYTES
      ? `it has ${passwordBytes} bytes, at most ${MAX_PASSWORD_BYTES} are allowed`
      : LONE_SURROGATE.test(password)
        ? 'it is not valid Unicode'
        : undefined
  if (problem === undefined) return password
  throw new BackupError('ENGINE_LOGIN_INVALID', `the password cannot be handed to the backup program: ${problem}`)
}

const checkInclude = (path: string): string => {
  const problem = CONTROL.test(path)
    ? 'its name holds a control character'
    : !isAbsolute(path)
      ? 'its name is not absolute'
      : path.trim() !== path
        ? 'its name ends with a blank'
        : Buffer.byteLength(path) > MAX_INCLUDE_BYTES
          ? `its name is longer than ${MAX_INCLUDE_BYTES} bytes`
          : undefined
  if (problem === undefined) return path
  throw new BackupError('ENGINE_DEFAULTS_FILE', `the defaults file cannot be used: ${problem}`)
}

/** The programs pass over an include they cannot read, or that anyone may write, with a warning at most. We refuse it. */
const checkReadable = async (path: string): Promise<void> => {
  const refuse = (problem: string, hint: string, cause?: unknown): never => {
    throw new BackupError(
      'ENGINE_DEFAULTS_FILE',
      `the defaults file ${path} cannot be used: ${problem}`,
      { path },
      { cause, hint },
    )
  }
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) =>
    refuse(`${error.code}`, 'give the agent a file it may read with --defaults-file', error),
  )
  try {
    const found = await file.stat()
    if (!found.isFile()) refuse('it is not a file', 'give the agent a file with --defaults-file')
    // Who may read it is asked where its lines are read: without a login in it, anybody may (server/read-login.ts).
    const lax = laxOwner(found, path) ?? laxWriters(found, path) ?? (await laxWay(path))
    if (lax !== undefined) refuse(lax.problem, lax.command)
  } finally {
    await file.close()
  }
}
