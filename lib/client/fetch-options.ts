/**
 * What can be asked of a fetch, and what cannot be had together.
 *
 * Checked before anything is opened or asked. Pure.
 */

import { type Packing, packingOf } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { type Compression, readCompression } from '../protocol/index.ts'
import type { FetchTarget } from './fetch-sink.ts'
import { packingOfName } from './packed-file.ts'
import type { ArchiveFormat, StreamEncoding } from './request.ts'
import type { TlsOptions } from './request-secure.ts'
import { checkToken, type TokenOptions } from './token-pairs.ts'

export interface FetchOptions extends TokenOptions {
  readonly host: string
  readonly port: number
  /** Ask over TLS, and never in clear. `{}`: who is trusted by this system, and the name of the host. */
  readonly tls?: TlsOptions | undefined
  readonly target: FetchTarget
  readonly user?: string | undefined
  readonly password?: string | undefined
  /** Names the session; the agent makes one up otherwise. */
  readonly sid?: string | undefined
  /** Which of the agent's servers. Only an agent of 0.77 says whose backup it sends. */
  readonly instance?: string | undefined
  /** How the stream is dressed. `framed`, unless told otherwise: only so does the agent say how the backup ended. */
  readonly encoding?: StreamEncoding | undefined
  /** `tar` unless told otherwise. An `xbstream` is the backup program's own stream, and comes framed only. */
  readonly format?: ArchiveFormat | undefined
  /**
   * Fetch only what has changed since this backup: its archive, or its receipt. The agent is asked to check that it is
   * a backup of its server.
   */
  readonly incrementalFrom?: string | undefined
  /** The same by the number at which the base ended, for an agent that does not remember it: nobody checks the base. */
  readonly incrementalLsn?: string | undefined
  /**
   * What the agent compresses the archive with on its way: `gzip`, `pigz`, `zstd`, `lz4` or `xz`, with a level or not,
   * as in `zstd:3`. It is decompressed and proven here in any case.
   */
  readonly compress?: string | undefined
  /**
   * Write the compressed bytes as they come. Left out: when the target is a file whose name says so, as `db1.tar.zst`.
   */
  readonly keepCompressed?: boolean | undefined
  /** `0.76`: speak only what older agents know. Otherwise that is done when the agent turns out to be one. */
  readonly protocol?: '0.77' | '0.76' | undefined
  /** Refuse a backup that only its own end and metadata would prove. */
  readonly requireVerdict?: boolean | undefined
  /** Where the receipt goes; `FILE.receipt` beside an archive that is a file, nowhere otherwise. `false`: nowhere. */
  readonly receiptFile?: string | false | undefined
  readonly connectSeconds?: number | undefined
  /** How long the agent may be silent. A framed stream is never silent for long; before it begins the agent may be. */
  readonly silenceSeconds?: number | undefined
  /**
   * Most bytes of the archive, and of what it is compressed into on its way. Left out: whatever fits on the disk, for only
   * the caller knows how large the server is.
   */
  readonly maxBytes?: number | undefined
  /** How long all of it may take, however busy the agent keeps us. Left out: as long as something comes. */
  readonly maxSeconds?: number | undefined
  /** Stops the fetch; nothing is left behind. */
  readonly signal?: AbortSignal | undefined
}

/** @throws BackupError `CLI_USAGE`, `CLIENT_NO_VERDICT`, `CLIENT_TOKEN`: what cannot be had, whatever the agent is */
export const checkOptions = (options: FetchOptions): void => {
  const { encoding = 'framed', format = 'tar', protocol = '0.77', target } = options
  const usage = (message: string, hint: string): BackupError => new BackupError('CLI_USAGE', message, {}, { hint })
  if (options.encoding === 'framed' && protocol === '0.76') {
    throw usage('protocol 0.76 has no framed stream', 'name another encoding, or none')
  }
  checkToken(options)
  checkIncrement(options, usage)
  if (format === 'xbstream') {
    if ('directory' in target) {
      throw usage(
        'an xbstream is not unpacked here',
        `fetch it into a FILE, then: mkdir ${target.directory} && mbstream -x -C ${target.directory} < FILE`,
      )
    }
    if (encoding !== 'framed' || protocol === '0.76') {
      throw usage(
        'an xbstream comes in a framed stream of protocol 0.77 only',
        'leave the encoding and the protocol out',
      )
    }
  }
  if (options.instance !== undefined && protocol === '0.76') {
    throw usage(
      'an agent of protocol 0.76 does not say whose backup it sends',
      'leave the protocol out, or the instance',
    )
  }
  if (options.requireVerdict === true && (encoding !== 'framed' || protocol === '0.76')) throw noVerdict()
}

/** 64 bits are at most 20 digits. Source: PROTOCOL.md, "Incremental backups". */
const LSN = /^[1-9][0-9]{0,19}$/

const checkIncrement = (
  { incrementalFrom, incrementalLsn, protocol }: FetchOptions,
  usage: (message: string, hint: string) => BackupError,
): void => {
  if (incrementalFrom === undefined && incrementalLsn === undefined) return
  if (incrementalFrom !== undefined && incrementalLsn !== undefined) {
    throw usage('an increment has one base, and two were named', 'name a file, or a number')
  }
  if (protocol === '0.76') throw usage('protocol 0.76 has no incremental backup of pages', 'leave the protocol out')
  if (incrementalLsn !== undefined && !LSN.test(incrementalLsn)) {
    throw usage(
      `expected a log sequence number in plain digits, found ${JSON.stringify(incrementalLsn.slice(0, 40))}`,
      'it is to_lsn in the xtrabackup_checkpoints of the base',
    )
  }
}

/** What the archive is compressed with on its way, and whether it stays so. */
export interface PackingPlan {
  readonly compression: Compression | undefined
  /** What the bytes are then. */
  readonly packing: Packing | undefined
  readonly isKept: boolean
}

/**
 * Reads the two options about compression, and holds them against the name of the file.
 *
 * @throws BackupError `COMPRESS_REFUSED` for another compressor; `CLI_USAGE` when a name would say what is not so
 */
export const planPacking = ({ compress, keepCompressed, target }: FetchOptions): PackingPlan => {
  const usage = (message: string, hint: string): BackupError => new BackupError('CLI_USAGE', message, {}, { hint })
  const compression = compress === undefined ? undefined : readCompression(compress, 'the compression')
  const packing = compression === undefined ? undefined : packingOf(compression.name)
  const named = 'file' in target ? packingOfName(target.file) : undefined
  if (packing === undefined && keepCompressed === true) {
    throw usage('nothing is compressed that could be kept so', 'add --compress zstd, or another')
  }
  if ('directory' in target && keepCompressed === true) {
    throw usage('what is unpacked is not kept compressed', 'leave --keep-compressed out, or fetch it into a file')
  }
  const isKept = keepCompressed ?? named !== undefined
  if (named !== undefined && named !== (isKept ? packing : undefined) && 'file' in target) {
    const found = isKept && packing !== undefined ? `what comes is ${packing}` : 'what would be there is not compressed'
    throw usage(
      `${target.file} has the name of a ${named} file, and ${found}`,
      `add --compress ${named}, or name it otherwise`,
    )
  }
  return { compression, packing, isKept }
}

/** @throws BackupError when what is wanted cannot be had from an older agent */
export const checkFallback = (options: FetchOptions): void => {
  const { format, requireVerdict, incrementalFrom, incrementalLsn, instance } = options
  if (requireVerdict === true) throw noVerdict()
  if (instance !== undefined) {
    throw new BackupError(
      'CLIENT_REFUSED',
      'the agent is older than protocol 0.77, and would send the backup of whichever server it has',
      {},
      { hint: 'update the agent, or leave the instance out' },
    )
  }
  if (incrementalFrom !== undefined || incrementalLsn !== undefined) {
    throw new BackupError(
      'CLIENT_REFUSED',
      'the agent is older than protocol 0.77 and makes no incremental backup of pages',
      {},
      { hint: 'update the agent, or fetch a full backup' },
    )
  }
  if (format === 'xbstream') {
    throw new BackupError(
      'CLIENT_REFUSED',
      'the agent is older than protocol 0.77 and sends no xbstream',
      {},
      { hint: 'update the agent, or fetch a tar archive' },
    )
  }
}

const noVerdict = (): BackupError =>
  new BackupError(
    'CLIENT_NO_VERDICT',
    'expected a stream that ends with the verdict of the agent: only a framed one of protocol 0.77 does',
    {},
    { hint: 'update the agent, or do without its verdict: the archive is proven by its own end and metadata then' },
  )
