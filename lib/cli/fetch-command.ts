/**
 * `backup-client fetch`: from a command line to a fetch, and from its receipt to a report.
 *
 * With `--out -` standard output is the backup, so the report moves to standard error.
 */

import { Command, Option } from 'commander'

import {
  type ArchiveFormat,
  DEFAULT_SILENCE_SECONDS,
  type FetchProgress,
  type FetchTarget,
  FRAMED_SILENCE_SECONDS,
  fetchBackup,
  type Receipt,
  receiptPath,
  type StreamEncoding,
} from '../client/index.ts'
import { DEFAULT_PORT } from '../config/index.ts'
import { BackupError } from '../errors/index.ts'
import { maxBytesOption, maxSecondsOption } from './limit-options.ts'
import { PASSWORD_VARIABLE, readPassword } from './password.ts'
import { incrementRows, PROOF_WORDS, packedRows, positionRows, type Row, runReported, table } from './report.ts'
import { addTokenOptions, readTokenOptions, type TokenFlags } from './token.ts'
import { addTlsOptions, type TlsWords, tlsOf } from './tls-options.ts'
import { type Address, formatBytes, formatSeconds, parseAddress, parseCompression, parseCount } from './values.ts'

interface FetchOptions extends TokenFlags, TlsWords {
  readonly user?: string
  readonly passwordFile?: string
  readonly out?: string
  readonly extract?: string
  readonly format: ArchiveFormat
  readonly encoding?: StreamEncoding
  readonly compress?: string
  readonly keepCompressed?: true
  readonly protocol: '0.77' | '0.76'
  readonly requireVerdict?: true
  /** False for `--no-receipt`. */
  readonly receipt: boolean
  readonly receiptFile?: string
  readonly sid?: string
  readonly incrementalFrom?: string
  readonly incrementalLsn?: string
  readonly instance?: string
  readonly silenceSeconds?: number
  readonly maxBytes?: number
  readonly maxSeconds?: number
  readonly json?: true
}

export const fetchCommand = (): Command =>
  addTlsOptions(
    addTokenOptions(
      new Command('fetch')
        .description('fetch a backup; a file or directory gets its name only when the backup is whole')
        .argument('<HOST[:PORT]>', `the agent (port ${DEFAULT_PORT} by default)`, parseAddress(DEFAULT_PORT))
        .option('--user <U>', "database user; none when the agent's own login is used")
        .option('--password-file <F>', `file with the password; else the environment's ${PASSWORD_VARIABLE}`)
        .addOption(
          new Option(
            '--out <FILE>',
            'write the archive here, and its receipt to FILE.receipt; - is standard output',
          ).conflicts('extract'),
        )
        .option('--extract <DIR>', 'unpack into this directory, which is empty or does not exist')
        .addOption(
          new Option('--format <F>', "tar, or the backup program's own xbstream, unchanged")
            .choices(['tar', 'xbstream'] satisfies ArchiveFormat[])
            .default('tar'),
        )
        .addOption(
          new Option(
            '--encoding <E>',
            'how the stream is dressed; only framed ends with the verdict of the agent (default: framed, octet from older agents)',
          ).choices(['framed', 'octet', 'base64', 'uuencode'] satisfies StreamEncoding[]),
        )
        .addOption(
          new Option(
            '--compress <C>',
            'have it compressed on its way: gzip, pigz, zstd, lz4 or xz, with :LEVEL or not; it is decompressed here, unless FILE is named like a compressed one',
          ).argParser(parseCompression),
        )
        .option('--keep-compressed', 'write it as it comes, compressed, also under another name or to a pipe')
        .addOption(
          new Option('--protocol <V>', 'what to speak first; 0.76 is fallen back to where the agent is older')
            .choices(['0.77', '0.76'])
            .default('0.77'),
        )
        .option('--require-verdict', "refuse a backup that comes without the agent's verdict")
        .option('--no-receipt', 'write no receipt')
        .option('--receipt-file <FILE>', 'write the receipt here (default: beside --out FILE, nowhere otherwise)')
        .option('--incremental-from <FILE>', 'only what has changed since this backup: its archive, or its receipt')
        .addOption(
          new Option(
            '--incremental-lsn <N>',
            'the same by where it ended, when the agent does not remember it',
          ).conflicts('incrementalFrom'),
        )
        .option('--instance <NAME>', "which of the agent's servers, where it has several")
        .option('--sid <S>', 'name of the session; the agent makes one otherwise')
        .addOption(
          new Option(
            '--silence-seconds <N>',
            `give up when the agent sends nothing for so long (default: ${FRAMED_SILENCE_SECONDS} in a framed stream, ${DEFAULT_SILENCE_SECONDS} otherwise)`,
          ).argParser(parseCount('seconds', 1)),
        )
        .addOption(maxBytesOption('most bytes of the archive, and of what it is compressed into'))
        .addOption(maxSecondsOption('how long all of it may take, however busy the agent keeps us'))
        .option('--json', 'print the receipt, or the failure, as JSON'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action(fetchAction)

const EXAMPLES = `
Examples:
  backup-client fetch db1 --token-file ~/.backup-token --out db1.tar
      where the agent knows its clients, and keeps the login of the database to itself
  backup-client fetch db1 --user backup --password-file ~/.backup-password --out db1.tar
  BACKUP_PASSWORD=... backup-client fetch db1:25300 --user backup --out - | zstd > db1.tar.zst
      in a pipe only this program's exit status tells whether the backup is whole: set -o pipefail;
      whether it is kept nobody can say, so the agent remembers it as sent-unconfirmed
  backup-client fetch db1 --tls-ca ca.crt --tls-cert client-nightly.crt --tls-key client-nightly.key --out db1.tar
      over TLS, to an agent that knows this client by its certificate; "backup-agent certificates" makes them
  backup-client fetch db1 --compress zstd:3 --out db1.tar.zst
      kept compressed, because of its name; verify and restore take it as it is
  backup-client fetch db1 --format xbstream --out db1.xb
      unpack it with mbstream -x -C DIR < db1.xb
  backup-client fetch db1 --incremental-from sunday.tar --out monday.tar
      then: backup-client restore sunday.tar monday.tar --target DIR`

const fetchAction = async (address: Address, options: FetchOptions): Promise<void> => {
  const { user, sid, instance, encoding, format, compress, keepCompressed, protocol, requireVerdict, silenceSeconds } =
    options
  const { json = false, maxBytes, maxSeconds } = options
  const { incrementalFrom, incrementalLsn } = options
  const target = fetchTarget(options)
  const receiptFile = options.receipt ? options.receiptFile : false
  if (!options.receipt && options.receiptFile !== undefined) {
    throw usage('--no-receipt and --receipt-file contradict each other', 'give one of them')
  }
  // A user without a password is a user with an empty one, as with unix_socket.
  const password = (await readPassword(options.passwordFile)) ?? (user === undefined ? undefined : '')
  const { token, tokenInClear } = await readTokenOptions(options)
  const path = 'file' in target ? target.file : 'directory' in target ? target.directory : undefined
  const kept =
    receiptFile === false ? undefined : (receiptFile ?? ('file' in target ? receiptPath(target.file) : undefined))
  await runReported({
    json,
    stream: 'stream' in target ? process.stderr : process.stdout,
    work: async (signal, line) => {
      const fetch = fetchBackup({
        ...address,
        ...{
          tls: tlsOf(options),
          user,
          password,
          token,
          tokenInClear,
          sid,
          instance,
          encoding,
          format,
          compress,
          keepCompressed,
          protocol,
          requireVerdict,
          incrementalFrom,
          incrementalLsn,
          receiptFile,
          target,
          silenceSeconds,
          maxBytes,
          maxSeconds,
          signal,
        },
      })
      for await (const progress of fetch) line.show(progressText(progress))
      return fetch.receipt
    },
    asJson: ({ receipt, status, ...others }) => ({ status, path, receiptFile: kept, receipt, ...others }),
    forPeople: (receipt) => receiptForPeople(receipt, path, kept),
  })
}

const usage = (message: string, hint: string): BackupError => new BackupError('CLI_USAGE', message, {}, { hint })

const fetchTarget = ({ out, extract }: FetchOptions): FetchTarget => {
  if (extract !== undefined) return { directory: extract }
  if (out === undefined) throw usage('where should the backup go?', 'give --out FILE, --out - or --extract DIR')
  if (out !== '-') return { file: out }
  if (process.stdout.isTTY)
    throw usage('a backup does not go to a terminal', 'give --out FILE, or a pipe behind --out -')
  return { stream: process.stdout }
}

/** `47 %  1.4 GiB  80.0 MiB/s  3 min 05 s, 2 min 10 s left` */
export const progressText = (progress: FetchProgress): string => {
  const { stage, session, bytes, bytesPerSecond, seconds, backup } = progress
  switch (stage) {
    case 'asking':
      return `waiting for the agent  ${formatSeconds(seconds)}`
    case 'preparing':
      return `waiting for the first bytes of ${session?.engine ?? 'the backup'}  ${formatSeconds(seconds)}`
    case 'receiving': {
      const done = backup?.percent === undefined ? [] : [`${backup.percent} %`]
      const left = backup?.eta === undefined ? '' : `, ${formatSeconds(backup.eta)} left`
      return [...done, formatBytes(bytes), `${formatBytes(bytesPerSecond)}/s`, `${formatSeconds(seconds)}${left}`].join(
        '  ',
      )
    }
  }
}

const receiptForPeople = (receipt: Receipt, path: string | undefined, receiptFile: string | undefined): string => {
  const { paddedFiles = 0, paddedBytes = 0 } = receipt
  const padded: Row[] =
    paddedFiles === 0
      ? []
      : [['filled up', `${paddedFiles} tablespaces that shrank, with ${formatBytes(paddedBytes)} of zeros`]]
  const kept: Row[] = receiptFile === undefined ? [] : [['receipt', receiptFile]]
  return table([
    ['backup', path === undefined ? 'complete' : `complete: ${path}`],
    ['proof', PROOF_WORDS[receipt.proof]],
    ['size', `${formatBytes(receipt.bytes)} (${receipt.bytes} bytes), ${receipt.files} files`],
    ['sha256', receipt.sha256],
    ...packedRows(receipt.packed, receipt.compression),
    ['engine', `${receipt.engine} ${receipt.engineVersion ?? ''}`],
    ...incrementRows(receipt, receipt),
    ...positionRows(receipt),
    ...padded,
    ...kept,
    ['time', formatSeconds(receipt.seconds)],
  ])
}
