/**
 * Reads a small file with a secret in it, for a command of a person or a script.
 *
 *     a file               the world neither reads nor changes it
 *     a pipe, a terminal   as in --password-file <(pass show db1): its reader is whoever opened it
 */

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

import { BackupError } from '../errors/index.ts'
import { readBounded, shownMode } from '../trust/index.ts'

const FOR_OTHERS = 0o007
/** A secret and a comment behind it; not the backup that somebody named by mistake. */
const MAX_BYTES = 4096

export interface SecretFile {
  /** `password`, as in "the password file". */
  readonly what: string
  readonly hint: string
}

/** @throws BackupError `CLI_FILE` */
export const readSecretFile = async (path: string, { what, hint }: SecretFile): Promise<string> => {
  const fail = (problem: string, how: string, cause?: unknown): BackupError =>
    new BackupError('CLI_FILE', `the ${what} file ${path} cannot be used: ${problem}`, {}, { cause, hint: how })
  const failed = (cause: NodeJS.ErrnoException): never => {
    throw fail(cause.code ?? cause.message, hint, cause)
  }
  const file = await open(path, constants.O_RDONLY).catch(failed)
  try {
    const found = await file.stat()
    if (found.isDirectory()) throw fail('it is not a file', 'name a file')
    if (found.isFile() && (found.mode & FOR_OTHERS) !== 0) {
      throw fail(
        `everybody on this machine can read or change it (mode ${shownMode(found.mode)})`,
        `chmod 0600 ${path}`,
      )
    }
    const bytes = await readBounded(file, MAX_BYTES).catch(failed)
    if (bytes === undefined) throw fail(`it is larger than ${MAX_BYTES} bytes`, hint)
    return bytes.toString('utf8')
  } finally {
    await file.close()
  }
}
