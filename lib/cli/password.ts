/**
 * Where a command finds the password: a file, or the environment. Never the command line.
 */

import { readSecretFile } from './secret-file.ts'

/** The password's place for those who keep no file. */
export const PASSWORD_VARIABLE = 'BACKUP_PASSWORD'

/**
 * @param file its contents are the password, without the newline that editors put at the end
 * @returns undefined when there is neither a file nor the variable
 * @throws BackupError `CLI_FILE`
 */
export const readPassword = async (file: string | undefined): Promise<string | undefined> => {
  if (file === undefined) return process.env[PASSWORD_VARIABLE]
  const text = await readSecretFile(file, { what: 'password', hint: 'name the file that holds it' })
  return text.replace(/\r?\n$/, '')
}
