/**
 * `backup-client fetch`: from a command line to a fetch, and from its receipt to a report.
 *
 * With `--out -` standard output is the backup, so the report moves to standard error.
 */

import { Command, Option } from 'commander'

import {
  DEFAULT_SILENCE_SECONDS,
  type FetchProgress,
  type FetchTarget,
  fetchBackup,
  type Receipt,
} from '../client/index.ts'
import { DEFAULT_PORT } from '../config/index.ts'
import type { EncodingName } from '../encodings/index.ts'
import { BackupError } from '../errors/index.ts'
import { PASSWORD_VARIABLE, readPassword } from './password.ts'
import { positionRows, runReported, table } from './report.ts'
import { type Address, formatBytes, formatSeconds, parseAddress, parseCount } from './values.ts'

interface FetchOptions {
  readonly user?: string
  readonly passwordFile?: string
  readonly out?: string
  readonly extract?: string
  readonly encoding: EncodingName
  readonly sid?: string
  readonly silenceSeconds: number
  readonly json?: true
}

export const fetchCommand = (): Command =>
  new Command('fetch')
    .description('fetch a full backup; a file or directory gets its name only when the backup is whole')
    .argument('<HOST[:PORT]>', `the agent (port ${DEFAULT_PORT} by default)`, parseAddress(DEFAULT_PORT))
    .option('--user <U>', "database user; none when the agent's own login is used")
    .option('--password-file <F>', `file with the password; else the environment's ${PASSWORD_VARIABLE}`)
    .addOption(new Option('--out <FILE>', 'write the tar archive here; - is standard output').conflicts('extract'))
    .option('--extract <DIR>', 'unpack into this directory, which is empty or does not exist')
    .addOption(
      new Option('--encoding <E>', 'how the stream is dressed')
        .choices(['octet', 'base64', 'uuencode'] satisfies EncodingName[])
        .default('octet'),
    )
    .option('--sid <S>', 'name of the session; the agent makes one otherwise')
    .addOption(
      new Option('--silence-seconds <N>', 'give up when the agent sends nothing for so long')
        .default(DEFAULT_SILENCE_SECONDS)
        .argParser(parseCount('seconds', 1)),
    )
    .option('--json', 'print the receipt, or the failure, as JSON')
    .addHelpText('after', EXAMPLES)
    .action(fetchAction)

const EXAMPLES = `
Examples:
  backup-client fetch db1 --user backup --password-file ~/.backup-password --out db1.tar
  BACKUP_PASSWORD=... backup-client fetch db1:25300 --user backup --out - | zstd > db1.tar.zst
      in a pipe only this program's exit status tells whether the backup is whole: set -o pipefail`

const fetchAction = async (address: Address, options: FetchOptions): Promise<void> => {
  const { user, sid, encoding, silenceSeconds, json = false } = options
  const target = fetchTarget(options)
  // A user without a password is a user with an empty one, as with unix_socket.
  const password = (await readPassword(options.passwordFile)) ?? (user === undefined ? undefined : '')
  await runReported({
    json,
    stream: 'stream' in target ? process.stderr : process.stdout,
    work: async (signal, line) => {
      const fetch = fetchBackup({ ...address, user, password, sid, encoding, target, silenceSeconds, signal })
      for await (const progress of fetch) line.show(progressText(progress))
      return fetch.receipt
    },
    asJson: (receipt) => ({ ...receipt }),
    forPeople: receiptForPeople,
  })
}

const fetchTarget = ({ out, extract }: FetchOptions): FetchTarget => {
  const usage = (message: string, hint: string): BackupError => new BackupError('CLI_USAGE', message, {}, { hint })
  if (extract !== undefined) return { directory: extract }
  if (out === undefined) throw usage('where should the backup go?', 'give --out FILE, --out - or --extract DIR')
  if (out !== '-') return { file: out }
  if (process.stdout.isTTY)
    throw usage('a backup does not go to a terminal', 'give --out FILE, or a pipe behind --out -')
  return { stream: process.stdout }
}

const progressText = ({ stage, bytes, bytesPerSecond, seconds }: FetchProgress): string =>
  stage === 'asking'
    ? `waiting for the agent  ${formatSeconds(seconds)}`
    : `${formatBytes(bytes)}  ${formatBytes(bytesPerSecond)}/s  ${formatSeconds(seconds)}`

const receiptForPeople = (receipt: Receipt): string =>
  table([
    ['backup', receipt.path === undefined ? 'complete' : `complete: ${receipt.path}`],
    ['size', `${formatBytes(receipt.bytes)} (${receipt.bytes} bytes), ${receipt.files} files`],
    ['sha256', receipt.sha256],
    ['engine', `${receipt.engine} ${receipt.engineVersion ?? ''}`],
    ...positionRows(receipt),
    ['time', formatSeconds(receipt.seconds)],
  ])
