/**
 * Where a command finds the password: a file, or the environment. Never the command line.
 */

import { readFile } from 'node:fs/promises'

import { BackupError } from '../errors/index.ts'

/** The password's place for those who keep no file. */
export const PASSWORD_VARIABLE = 'BACKUP_PASSWORD'

/**
 * @param file its contents are the password, without the newline that editors put at the end
 * @returns undefined when there is neither a file nor the variable
 * @throws BackupError `CLI_FILE`
 */
export const readPassword = async (file: string | undefined): Promise<string | undefined> => {
  if (file === undefined) return process.env[PASSWORD_VARIABLE]
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new BackupError('CLI_FILE', `cannot read the password file ${file}: ${cause.code}`, {}, { cause })
  })
  return text.replace(/\r?\n$/, '')
}
