/**
 * Asks an agent for a backup and reads what it says, up to the first byte of the stream.
 *
 *     0.77   READY ACCEPTED …the backup program starts… SENDING │ stream
 *                                                       FAILED
 *     0.76   READY SENDING │ stream       nothing is said before the first byte is there
 *
 * An agent that does not know 0.77 says so; then it is asked again as a client of 0.76,
 * on a new connection, for a stream it can send.
 */

import { ENCODINGS, type EncodingName, FRAMED_MIME } from '../encodings/index.ts'
import { BackupError } from '../errors/index.ts'
import {
  AGENT_PROTOCOL_VERSION,
  COMPATIBLE_PROTOCOL_VERSION,
  COMPRESS_WORDS_KEY,
  type Compression,
  compressionText,
  type KvBlock,
  type SessionFacts,
  showWire,
  writeCompressWords,
  writeRequest,
} from '../protocol/index.ts'
import { backupFailed, isOlderAgent, readAnswer, readBlock, refusal } from './agent-answer.ts'
import { AgentLink } from './request-link.ts'
import type { TlsOptions } from './request-secure.ts'
import { readSessionFacts } from './session-block.ts'
import { type TokenOptions, tokenPairs } from './token-pairs.ts'

export { interrupted } from './request-connection.ts'

/** How the stream is dressed: framed says itself how it ended, the others are known to older agents too. */
export type StreamEncoding = EncodingName | 'framed'

export type ArchiveFormat = 'tar' | 'xbstream'

/** A dialogue: its version as we say it on the wire. */
export type Dialogue = typeof AGENT_PROTOCOL_VERSION | typeof COMPATIBLE_PROTOCOL_VERSION

export interface BackupRequest extends TokenOptions {
  readonly host: string
  readonly port: number
  readonly tls?: TlsOptions | undefined
  readonly user?: string | undefined
  readonly password?: string | undefined
  readonly sid?: string | undefined
  readonly instance?: string | undefined
  /** `framed` becomes `octet` for an older agent. */
  readonly encoding: StreamEncoding
  readonly format: ArchiveFormat
  /** Ask for what has changed since another backup; left out for a full one. */
  readonly base?: { readonly lsn: string; readonly sid?: string | undefined } | undefined
  readonly compression: Compression | undefined
  /** Begin with the older dialogue at once. */
  readonly olderDialogue: boolean
  /** Whether an older agent may be asked in the older dialogue; throws when not. */
  checkFallback(): void
  /** How long connecting may take. */
  readonly connectMs: number
  /** How long the agent may be silent while we wait for the stream. */
  readonly silenceMs: number
  readonly signal: AbortSignal
  /** Told when the agent has accepted and the backup program is being started. */
  onAccepted(session: SessionFacts, sid: string | undefined): void
}

/** A backup that begins to arrive. */
export interface OpenStream {
  readonly dialogue: Dialogue
  readonly encoding: StreamEncoding
  /** Said by agents of 0.77. */
  readonly session: SessionFacts | undefined
  /** The block that announced the stream: `status`, `msg`, `sid`. */
  readonly answer: KvBlock
  /** Encoded bytes, until the agent closes its half. Not to the end where the stream says itself that it ends. */
  readonly wire: AsyncIterable<Buffer>
  readonly link: AgentLink
}

/** A full backup is started by the request whose `file` says so. Source: wire-facts, "file". */
const FULL_BACKUP_FILE = 'backup/ZRM_LINKS/.'

/**
 * @throws BackupError `CLIENT_CONNECT`, `CLIENT_REFUSED` (with the agent's own words), `CLIENT_BACKUP_FAILED`,
 *   `CLIENT_NO_STREAM`, `CLIENT_UNANSWERED`, `CLIENT_CUT`, `CLIENT_SILENCE`, `PROTOCOL_ANSWER_INVALID`, `CLIENT_INTERRUPTED`; whatever
 *   `checkFallback` throws
 */
export const openStream = async (request: BackupRequest): Promise<OpenStream> => {
  const stream = request.olderDialogue ? 'older agent' : await openAccepted(request)
  if (stream !== 'older agent') return stream
  if (!request.olderDialogue) request.checkFallback()
  return openOlder(request)
}

/** The dialogue of 0.77. */
const openAccepted = async (request: BackupRequest): Promise<OpenStream | 'older agent'> => {
  const { user, password, sid, instance, encoding, format, base } = request
  const compression = request.compression === undefined ? undefined : compressionText(request.compression)
  const mime = encoding === 'framed' ? FRAMED_MIME : ENCODINGS[encoding]
  const pairs = [
    ['action', 'copy from'],
    ...given({ user, password, sid, instance }),
    ...(base === undefined ? [] : given({ 'backup-level': '1', 'base-sid': base.sid, 'incremental-lsn': base.lsn })),
    ['agent-stream-encoding', mime],
    ['agent-stream-format', format],
    ...given({ 'agent-stream-compress': compression }),
  ] as const
  const asked = { version: AGENT_PROTOCOL_VERSION, pairs } as const
  // Our half stays open behind the agent's end: a framed stream is answered.
  return withLink({ ...request, keepHalfOpen: encoding === 'framed' }, asked, async (link) => {
    const accepted = await readAnswer(link)
    if (isOlderAgent(accepted)) {
      link.close()
      return 'older agent'
    }
    checkReady(accepted)
    checkStatus(accepted.block, 'ACCEPTED')
    const session = readSessionFacts(accepted.block, {
      encoding: mime,
      format,
      compression: compression ?? 'none',
      ...(instance === undefined ? {} : { instance }),
    })
    request.onAccepted(session, accepted.block.get('sid'))
    const sending = await readBlock(link, accepted.rest)
    if (sending === undefined) {
      throw new BackupError(
        'CLIENT_CUT',
        'expected the backup after it was accepted, found that the agent closed the connection',
        {},
        { hint: 'was the agent stopped? its log says why' },
      )
    }
    if (sending.block.get('status') === 'FAILED') {
      // It was accepted, so this is no refusal: the backup was tried, and failed before its first byte.
      throw backupFailed(sending.block.get('msg'), { agentCode: sending.block.get('code') ?? null })
    }
    checkStatus(sending.block, 'SENDING')
    const wire = link.rest(sending.rest)
    return { dialogue: AGENT_PROTOCOL_VERSION, encoding, session, answer: sending.block, wire, link }
  })
}

/** The dialogue of 0.76. */
const openOlder = async (request: BackupRequest): Promise<OpenStream> => {
  const { user, password, sid } = request
  const encoding = request.encoding === 'framed' ? 'octet' : request.encoding
  const pairs = [
    ['action', 'copy from'],
    ...given({ user, password }),
    ['backup-level', '0'],
    ['replication', '0'],
    ['file', FULL_BACKUP_FILE],
    ...given({ sid }),
    ['agent-stream-encoding', ENCODINGS[encoding]],
    ...given({ [COMPRESS_WORDS_KEY]: request.compression && writeCompressWords(request.compression) }),
  ] as const
  return withLink(request, { version: COMPATIBLE_PROTOCOL_VERSION, pairs }, async (link) => {
    const answer = await readAnswer(link)
    checkReady(answer)
    checkStatus(answer.block, 'SENDING')
    const wire = link.rest(answer.rest)
    return { dialogue: COMPATIBLE_PROTOCOL_VERSION, encoding, session: undefined, answer: answer.block, wire, link }
  })
}

type Pairs = readonly (readonly [string, string])[]

/** A key without a value is not sent: an empty password is a password. */
const given = (values: Readonly<Record<string, string | undefined>>): [string, string][] =>
  Object.entries(values).filter((pair): pair is [string, string] => pair[1] !== undefined)

/** Connects, asks and hands the link on. Whatever throws meanwhile closes it. */
const withLink = async <Result>(
  options: BackupRequest & { readonly keepHalfOpen?: boolean },
  { version, pairs }: { readonly version: Dialogue; readonly pairs: Pairs },
  converse: (link: AgentLink) => Promise<Result>,
): Promise<Result> => {
  const link = await AgentLink.open(options)
  try {
    link.send(writeRequest(version, [...pairs, ...tokenPairs(link, options)]))
    return await converse(link)
  } catch (error) {
    link.close()
    throw error
  }
}

const checkReady = ({ ready, block }: { readonly ready: boolean; readonly block: KvBlock }): void => {
  if (!ready || block.get('status') === 'FAILED') throw refusal(block)
}

/** @throws BackupError `CLIENT_NO_STREAM` for another status; `PROTOCOL_ANSWER_INVALID` for one that has no place here */
const checkStatus = (block: KvBlock, expected: 'ACCEPTED' | 'SENDING'): void => {
  const status = block.get('status') ?? ''
  if (status === expected) return
  if (expected === 'ACCEPTED' && status !== 'OK') {
    throw new BackupError(
      'PROTOCOL_ANSWER_INVALID',
      `expected the status ACCEPTED from the agent, found ${showWire(status)}`,
      { status },
    )
  }
  const msg = block.get('msg') ?? 'no reason given'
  throw new BackupError('CLIENT_NO_STREAM', `the agent sends no backup (status ${status}): ${msg}`, { status })
}
