/**
 * Who may ask what, and what becomes of it: a request in, a decision out.
 *
 * Whatever a client names (paths, programs, options) is a name at most and never
 * obeyed. A key that would change what the client receives, and that this agent does
 * not do, is refused: a client that asked for bzip2 would feed plain tar to bzip2.
 *
 * Pure: random ids come in. Rules: PROTOCOL.md, "Keys of a request".
 */

import {
  checkBlockBytes,
  DEFAULT_BLOCK_BYTES,
  DEFAULT_ENCODING,
  ENCODINGS,
  encodingFromMime,
  type EncodingName,
  FRAMED_MIME,
} from '../encodings/index.ts'
import type { OptionSet } from '../config/index.ts'
import { BackupError } from '../errors/index.ts'
import {
  type AgentRequest,
  type Compression,
  type CopyRequest,
  isFramingVersion,
  type MonitorRequest,
  type ProtocolVersion,
  type SidRequest,
  type SimpleRequest,
  type WantedIncrement,
} from '../protocol/index.ts'
import { type ChosenOptions, chooseOptions } from './choose-options.ts'

/** How the bytes of a backup are dressed: one of the encodings of 0.76, or frames. */
export type StreamEncoding = EncodingName | 'framed'

export interface StreamDecision {
  readonly sid: string
  readonly user: string | undefined
  readonly password: string | undefined
  /** The login is none of the client's business: it is told nothing of it. */
  readonly isHostLogin?: boolean
  /** Whether the client speaks 0.77: it is told of the session at once. */
  readonly isFraming: boolean
  readonly format: 'tar' | 'xbstream'
  readonly encoding: StreamEncoding
  readonly blockBytes: number
  /** What the archive is compressed with. */
  readonly compression: Compression | undefined
  /** A set of options for the backup program, of the operator's; the client has chosen it by name. */
  readonly options?: ChosenOptions
}

export type Decision =
  /** Nothing to send: the request belongs to a run whose backup another request starts. */
  | { readonly kind: 'nothing'; readonly sid: string; readonly msg: string }
  | (StreamDecision & {
      readonly kind: 'backup'
      /** What an incremental backup of pages is to be based on; absent for a full one. */
      readonly increment?: WantedIncrement
    })
  /** An incremental backup without a base: the server's closed binary logs. */
  | (StreamDecision & { readonly kind: 'binary-logs' })
  | { readonly kind: 'question'; readonly question: SimpleRequest | SidRequest }
  | { readonly kind: 'monitor'; readonly wanted: MonitorRequest }

export interface PolicyContext {
  /** Whether the engine writes an xbstream; the engine `directory` does not. */
  readonly hasXbstream: boolean
  /** Whether the agent can ask a running server for its binary logs. */
  readonly hasServer?: boolean
  /** Whether the engine logs in to a server and the operator gave it no login of its own. */
  readonly loginRequired: boolean
  /** The operator wants the host's own login used, whatever the client sends. */
  readonly hostLogin?: boolean
  readonly hostUser?: string | undefined
  /** Sets of options for the backup program that a client may choose. */
  readonly optionSets?: Readonly<Record<string, OptionSet>>
  /** Makes the id of a session whose client named none. */
  readonly makeSid: () => string
}

/** @throws BackupError why the request is refused, in words for the client */
export const decide = (
  request: AgentRequest,
  version: ProtocolVersion,
  {
    loginRequired,
    hostLogin = false,
    hostUser,
    hasXbstream,
    hasServer = false,
    makeSid,
    optionSets = {},
  }: PolicyContext,
): Decision => {
  if (request.action === 'monitor') return { kind: 'monitor', wanted: request }
  if (request.action !== 'copy from') return { kind: 'question', question: request }
  const isBinaryLogs = request.level === 'incremental' && request.increment === undefined
  if (isBinaryLogs && !hasServer) {
    throw new BackupError(
      'AGENT_NOT_SUPPORTED',
      'this agent has no binary logs to send: its engine reads a directory',
      {},
      { hint: 'ask for a full one with backup-level=0' },
    )
  }
  const sid = request.sid ?? makeSid()
  if (!isBinaryLogs && !request.startsBackup) {
    // A deployed run asks several times and wants one backup. Source: wire-facts, "file".
    return { kind: 'nothing', sid, msg: 'nothing to send: the backup goes with the file that names ZRM_LINKS' }
  }

  const encoding = encodingOf(request, version)
  if (request.format === 'xbstream' && (isBinaryLogs || !hasXbstream)) {
    const source = isBinaryLogs ? 'binary logs are sent as tar' : 'its engine reads a directory'
    throw new BackupError(
      'AGENT_NOT_SUPPORTED',
      `this agent has no xbstream to send: ${source}`,
      {},
      { hint: 'ask for agent-stream-format=tar' },
    )
  }
  if (request.increment !== undefined && !hasXbstream) {
    throw new BackupError(
      'AGENT_NOT_SUPPORTED',
      'this agent makes no incremental backups: its engine reads a directory',
      {},
      { hint: 'ask for a full one with backup-level=0' },
    )
  }
  // Binary logs are read without a program: whatever options there are would change nothing about them.
  const options = isBinaryLogs ? undefined : chooseOptions(request.pairs, optionSets, hasXbstream)
  if (loginRequired && request.user === undefined) {
    throw new BackupError('PROTOCOL_KEY_MISSING', 'Missing required header key user', { missing: ['user'] })
  }
  return {
    kind: isBinaryLogs ? 'binary-logs' : 'backup',
    sid,
    ...loginFor(request, hostLogin, hostUser),
    isFraming: isFramingVersion(version),
    format: request.format,
    encoding,
    blockBytes: request.blockBytes === undefined ? DEFAULT_BLOCK_BYTES : checkBlockBytes(request.blockBytes),
    compression: request.compression,
    ...(request.increment === undefined ? {} : { increment: request.increment }),
    ...(options === undefined ? {} : { options }),
  }
}

/** Without a user of its own a client has no login: its password must not be tried at the host's account. */
const loginFor = (
  { user, password }: CopyRequest,
  hostLogin: boolean,
  hostUser: string | undefined,
): Pick<StreamDecision, 'user' | 'password' | 'isHostLogin'> => {
  if (!hostLogin && user !== undefined) return { user, password }
  return { user: hostLogin ? hostUser : undefined, password: undefined, isHostLogin: true }
}

const encodingOf = ({ streamEncoding, format }: CopyRequest, version: ProtocolVersion): StreamEncoding => {
  const isFraming = isFramingVersion(version)
  if (isFraming && streamEncoding?.toLowerCase() === FRAMED_MIME) return 'framed'
  const others = isFraming ? [FRAMED_MIME] : []
  const encoding = streamEncoding === undefined ? DEFAULT_ENCODING : encodingFromMime(streamEncoding, others)
  if (format === 'tar') return encoding
  throw new BackupError(
    'PROTOCOL_VALUE_INVALID',
    `expected the encoding ${FRAMED_MIME} for the format xbstream, found ${ENCODINGS[encoding]}`,
    { key: 'agent-stream-format' },
    { hint: 'an xbstream does not show where it was cut: it is sent only with a trailer' },
  )
}
