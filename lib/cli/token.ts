/**
 * Where a command of the client finds the token for the agent: a file, or the environment. Never the command line.
 *
 *     --token-file F      its first line; others than owner and group must not read it
 *     KV_BACKUP_TOKEN     for who keeps no file
 */

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Command } from 'commander'

import { BackupError } from '../errors/index.ts'

export const TOKEN_VARIABLE = 'KV_BACKUP_TOKEN'

const FOR_OTHERS = 0o007
/** A token and a comment behind it; not the backup that somebody named by mistake. */
const MAX_BYTES = 4096

export interface TokenFlags {
  readonly tokenFile?: string
  readonly tokenInClear?: true
}

export const addTokenOptions = (command: Command): Command =>
  command
    .option('--token-file <F>', `file with the token for the agent; else the environment's ${TOKEN_VARIABLE}`)
    .option('--token-in-clear', 'send the token to another machine also without encryption, where others can read it')

/** @throws BackupError `CLI_FILE` */
export const readTokenOptions = async ({
  tokenFile,
  tokenInClear,
}: TokenFlags): Promise<{ token: string | undefined; tokenInClear: boolean | undefined }> => ({
  token: await readToken(tokenFile),
  tokenInClear,
})

const readToken = async (path: string | undefined): Promise<string | undefined> => {
  if (path === undefined) return process.env[TOKEN_VARIABLE] || undefined
  const fail = (problem: string, hint: string, cause?: unknown): BackupError =>
    new BackupError('CLI_FILE', `the token file ${path} cannot be used: ${problem}`, {}, { cause, hint })
  const { O_RDONLY, O_NONBLOCK } = constants
  const file = await open(path, O_RDONLY | O_NONBLOCK).catch((cause: NodeJS.ErrnoException) => {
    throw fail(cause.code ?? cause.message, 'name the file that holds what backup-agent token add printed', cause)
  })
  try {
    const found = await file.stat()
    if (!found.isFile()) throw fail('it is not a file', 'name a file')
    if ((found.mode & FOR_OTHERS) !== 0) {
      const mode = (found.mode & 0o777).toString(8).padStart(4, '0')
      throw fail(`everybody on this machine can read or change it (mode ${mode})`, `chmod 0600 ${path}`)
    }
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_BYTES), 0, MAX_BYTES, 0)
    const [line = ''] = buffer.toString('utf8', 0, bytesRead).split(/\r?\n/)
    if (line === '') throw fail('its first line is empty', 'put what backup-agent token add printed there')
    return line
  } finally {
    await file.close()
  }
}
