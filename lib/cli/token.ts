/**
 * Where a command of the client finds the token for the agent: a file, or the environment. Never the command line.
 *
 *     --token-file F      its first line: `secret-file.ts`
 *     KV_BACKUP_TOKEN     for who keeps no file
 */

import type { Command } from 'commander'

import { BackupError } from '../errors/index.ts'
import { readSecretFile } from './secret-file.ts'

export const TOKEN_VARIABLE = 'KV_BACKUP_TOKEN'

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
  const hint = 'name the file that holds what backup-agent token add printed'
  const [line = ''] = (await readSecretFile(path, { what: 'token', hint })).split(/\r?\n/)
  if (line === '') {
    const problem = `the token file ${path} cannot be used: its first line is empty`
    throw new BackupError('CLI_FILE', problem, {}, { hint: 'put what backup-agent token add printed there' })
  }
  return line
}
