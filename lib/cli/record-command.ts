/**
 * `backup-client record`: plays a client's half against an agent and writes the session down.
 *
 * Password and token come from a file or the environment and are never written.
 */

import { constants } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { Command, Option } from 'commander'

import { parseRequestSession, readSession, recordSession, writeSession } from '../client/index.ts'
import { DEFAULT_PORT } from '../config/index.ts'
import { BackupError } from '../errors/index.ts'
import { PASSWORD_VARIABLE, readPassword } from './password.ts'
import { print } from './print.ts'
import { withStopSignals } from './stop-signals.ts'
import { readTokenOptions, TOKEN_VARIABLE } from './token.ts'
import { addTlsOptions, type TlsWords, tlsOf } from './tls-options.ts'
import { type Address, parseAddress } from './values.ts'

interface RecordOptions extends TlsWords {
  readonly request: string
  readonly out: string
  readonly passwordFile?: string
  readonly tokenFile?: string
  readonly hide: readonly string[]
  readonly digest?: true
}

export const recordCommand = (): Command =>
  addTlsOptions(new Command('record'))
    .description('send the client lines of a session file to an agent and record the whole session')
    .argument('<HOST[:PORT]>', `the agent (port ${DEFAULT_PORT} by default)`, parseAddress(DEFAULT_PORT))
    .requiredOption('--request <FILE>', 'what the client says: a session file, of which only the > lines count')
    .requiredOption('--out <FILE>', 'write the session here; - is standard output')
    .option('--password-file <F>', `file with what {password} stands for; else the environment's ${PASSWORD_VARIABLE}`)
    .option('--token-file <F>', `file with what {token} stands for; else the environment's ${TOKEN_VARIABLE}`)
    .addOption(
      new Option('--hide <TEXT>', 'write {text} wherever the agent says this (a path, a host name); may be repeated')
        .default([])
        .argParser((text: string, before: readonly string[]) => [...before, text]),
    )
    .option('--digest', 'keep the sha256 of the archive, where it is the same every time')
    .action(recordAction)

const recordAction = async (address: Address, options: RecordOptions): Promise<void> => {
  const request = await readSession(options.request, parseRequestSession)
  const password = await readPassword(options.passwordFile)
  const { token } = await readTokenOptions(options)
  const session = await withStopSignals((signal) =>
    recordSession(request, {
      ...address,
      tls: tlsOf(options),
      password,
      token,
      hide: options.hide,
      digest: options.digest,
      command: commandLine(options),
      signal,
    }),
  )
  const text = writeSession(session)
  if (options.out === '-') {
    await print(process.stdout, text)
    return
  }
  // A plain file of that name is replaced; what a link leads to is not.
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants
  await writeFile(options.out, text, { flag: O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW }).catch(
    (cause: NodeJS.ErrnoException) => {
      throw new BackupError('CLI_FILE', `cannot write ${options.out}: ${cause.code ?? cause.message}`, {}, { cause })
    },
  )
}

/** For the header of the file: without addresses and directories, which say nothing elsewhere. */
const commandLine = ({ request, out, hide, digest }: RecordOptions): string =>
  [
    'backup-client record HOST:PORT',
    `--request ${basename(request)}`,
    `--out ${basename(out)}`,
    ...(hide.length > 0 ? ['--hide TEXT'] : []),
    ...(digest === true ? ['--digest'] : []),
  ].join(' ')
