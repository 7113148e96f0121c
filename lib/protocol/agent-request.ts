/**
 * What a request asks for, read out of its pairs.
 *
 * Deployed clients send their whole configuration file: a key that is not looked at
 * here is never an error, whatever its value. A value that is looked at must have the
 * form the protocol gives it; it is checked, never repaired. Nothing here is opened,
 * run or looked up: `file` and `sid` are paths on the client's side and only names.
 *
 * Pure. Keys and forms: PROTOCOL.md, "Keys of a request".
 */

import { BackupError } from '../errors/index.ts'
import { COMPRESS_WORDS_KEY, readCompressWords } from './compress-words.ts'
import { type Compression, compressionText, readCompression } from './compression.ts'
import type { KvBlock } from './kv-block-parser.ts'
import { LIMITS } from './limits.ts'
import { isFramingVersion, type ProtocolVersion } from './version.ts'
import { showWire } from './wire-text.ts'

export type BackupLevel = 'full' | 'incremental'

/** What an incremental backup is to be based on. */
export interface WantedIncrement {
  /** Where the base ended, as digits: it passes 2^53. */
  readonly lsn: string | undefined
  /** Session of the base. */
  readonly baseSid: string | undefined
}

/** A request for a backup. */
export interface CopyRequest {
  readonly action: 'copy from'
  /** Absent when the key is missing or empty; whether a login is needed is the engine's to say. */
  readonly user: string | undefined
  /** An empty password is a password. */
  readonly password: string | undefined
  readonly level: BackupLevel
  /**
   * From 0.77 on: an incremental backup of what has changed since a log sequence number, and not of binary logs. At
   * least one of the two is there.
   */
  readonly increment: WantedIncrement | undefined
  /** The client has stopped the replica and counts on its being started again. */
  readonly replication: boolean
  /** Never opened. */
  readonly file: string
  /**
   * Whether `file` contains `ZRM_LINKS`. One run of a deployed client asks several times, for pieces that a copying
   * agent would send one by one; of its requests for a full backup only this one is for the stream.
   */
  readonly startsBackup: boolean
  readonly sid: string | undefined
  /** A MIME type as the wire carried it. */
  readonly streamEncoding: string | undefined
  /** Raw bytes per block; plain digits, its bounds are the encoding's. */
  readonly blockBytes: number | undefined
  /** From 0.77 on; before, whoever wrote the key did not mean it. */
  readonly format: 'tar' | 'xbstream'
  readonly compression: Compression | undefined
  readonly pairs: KvBlock
}

/** A request for the history of backups. */
export interface MonitorRequest {
  readonly action: 'monitor'
  readonly sid: string | undefined
  readonly type: BackupLevel | undefined
  /** Epoch seconds. */
  readonly newerThan: number | undefined
  readonly maxItems: number | undefined
  readonly pairs: KvBlock
}

/** A question about the agent. From 0.77 on. */
export interface SimpleRequest {
  readonly action: 'ping' | 'status'
}

/** A question or an order about one backup. From 0.77 on. */
export interface SidRequest {
  readonly action: 'cancel' | 'verdict'
  readonly sid: string
}

export type AgentRequest = CopyRequest | MonitorRequest | SimpleRequest | SidRequest

/** Stands in `file` when the client asks for the stream itself. Source: observed, PROTOCOL.md "What `file` does". */
const STREAM_MARK = 'ZRM_LINKS'

/** Nine digits stay far below 2^53 and above every use. */
const PLAIN_NUMBER = /^(?:0|[1-9][0-9]{0,8})$/
/** Ten digits for epoch seconds. */
const EPOCH_SECONDS = /^(?:0|[1-9][0-9]{0,9})$/

/** A log sequence number is 64 bits wide; 0 is none, the whole server has changed since. */
const LSN = /^[1-9][0-9]{0,19}$/
const MAX_LSN = 2n ** 64n - 1n

const LEVELS = { '0': 'full', '1': 'incremental' } as const
const FLAGS = { '0': false, '1': true } as const

const ACTIONS_OF_076 = '"copy from" or "monitor"'
const ACTIONS = '"copy from", "monitor", "ping", "status", "cancel" or "verdict"'

/**
 * Reads the pairs of a request.
 *
 * @param version what the client speaks: one of 0.76 is served, and refused, exactly as before 0.77
 * @throws BackupError `PROTOCOL_KEY_MISSING` (the message begins with the words of deployed agents, `Missing required
 *   header key`), `PROTOCOL_VALUE_INVALID`, `AGENT_ACTION_UNKNOWN`
 */
export const readRequest = (block: KvBlock, version: ProtocolVersion): AgentRequest => {
  requireKeys(block, ['action'])
  const action = block.get('action') as string
  const isFraming = isFramingVersion(version)
  switch (action) {
    case 'copy from':
      return readCopy(block, isFraming)
    case 'monitor':
      return {
        action,
        sid: optional(block, 'sid'),
        type: typeOf(block),
        newerThan: number(block, 'newer_than', EPOCH_SECONDS),
        maxItems: number(block, 'max_items', PLAIN_NUMBER),
        pairs: block,
      }
    case 'ping':
    case 'status':
      if (isFraming) return { action }
      break
    case 'cancel':
    case 'verdict':
      if (isFraming) return { action, sid: requiredSid(block) }
      break
  }
  throw new BackupError(
    'AGENT_ACTION_UNKNOWN',
    `expected the action ${isFraming ? ACTIONS : ACTIONS_OF_076}, found ${showWire(action)}`,
    { action: showWire(action) },
  )
}

/** 0.76 wants `backup-level` and `file`. Since 0.77 a client that names neither is after a full backup. */
const readCopy = (block: KvBlock, isFraming: boolean): CopyRequest => {
  if (!isFraming) requireKeys(block, ['backup-level', 'file'])
  const isLevelSaid = !isFraming || optional(block, 'backup-level') !== undefined
  const level = isLevelSaid ? choice(block, 'backup-level', LEVELS) : 'full'
  const file = (isFraming ? optional(block, 'file') : block.get('file')) ?? STREAM_MARK
  if (file === '') throw invalid('file', 'a name', '""')
  return {
    action: 'copy from',
    user: bounded(optional(block, 'user'), 'user', LIMITS.maxUserBytes),
    password: bounded(block.get('password'), 'password', LIMITS.maxPasswordBytes),
    level,
    increment: isFraming ? incrementOf(block, level) : undefined,
    replication: optional(block, 'replication') === undefined ? false : choice(block, 'replication', FLAGS),
    file,
    startsBackup: file.includes(STREAM_MARK),
    sid: optional(block, 'sid'),
    streamEncoding: optional(block, 'agent-stream-encoding'),
    blockBytes: number(block, 'agent-stream-block-size', PLAIN_NUMBER),
    format: isFraming ? formatOf(block) : 'tar',
    compression: compressionOf(block, isFraming),
    pairs: block,
  }
}

/** Neither key may be ignored: a full backup, or binary logs, in the place of what was asked for is wrong. */
const incrementOf = (block: KvBlock, level: BackupLevel): WantedIncrement | undefined => {
  const lsn = optional(block, 'incremental-lsn')
  const baseSid = optional(block, 'base-sid')
  if (lsn === undefined && baseSid === undefined) return undefined
  if (level === 'full') {
    const key = lsn === undefined ? 'base-sid' : 'incremental-lsn'
    throw new BackupError('PROTOCOL_VALUE_INVALID', `expected backup-level=1 beside ${key}, found a full backup`, {
      key,
    })
  }
  if (lsn !== undefined && !(LSN.test(lsn) && BigInt(lsn) <= MAX_LSN)) {
    throw invalid('incremental-lsn', `1 to ${MAX_LSN} in plain digits`, showWire(lsn))
  }
  return { lsn, baseSid }
}

const requireKeys = (block: KvBlock, keys: readonly string[]): void => {
  const missing = keys.filter((key) => !block.has(key))
  if (missing.length > 0) throw missingKeys(missing)
}

const missingKeys = (missing: readonly string[]): BackupError =>
  new BackupError('PROTOCOL_KEY_MISSING', `Missing required header key ${missing.join(', ')}`, { missing })

/** An empty one names no backup. */
const requiredSid = (block: KvBlock): string => {
  const sid = optional(block, 'sid')
  if (sid === undefined) throw missingKeys(['sid'])
  return sid
}

const formatOf = (block: KvBlock): CopyRequest['format'] => {
  const text = optional(block, 'agent-stream-format') ?? 'tar'
  if (text !== 'tar' && text !== 'xbstream') throw invalid('agent-stream-format', 'tar or xbstream', showWire(text))
  return text
}

const typeOf = (block: KvBlock): BackupLevel | undefined => {
  const text = optional(block, 'type')
  if (text === undefined || text === 'full' || text === 'incremental') return text
  throw invalid('type', 'full or incremental', showWire(text))
}

const COMPRESS_KEY = 'agent-stream-compress'

/** By name since 0.77, by the words of deployed clients at any time. Who says both must mean one thing. */
const compressionOf = (block: KvBlock, isFraming: boolean): Compression | undefined => {
  const words = optional(block, COMPRESS_WORDS_KEY)
  const name = isFraming ? optional(block, COMPRESS_KEY) : undefined
  const byWords = words === undefined ? undefined : readCompressWords(words)
  const byName = name === undefined || name === 'none' ? undefined : readCompression(name, COMPRESS_KEY)
  if (name === undefined || words === undefined) return byName ?? byWords
  const [asWords, asName] = [byWords, byName].map((one) => (one === undefined ? 'none' : compressionText(one)))
  if (asWords !== asName) throw invalid(COMPRESS_KEY, `what ${COMPRESS_WORDS_KEY} says (${asWords})`, showWire(name))
  return byWords
}

/** An empty value of a key that may be left out means that it was left out. */
const optional = (block: KvBlock, key: string): string | undefined => block.get(key) || undefined

const choice = <Value>(block: KvBlock, key: string, values: Readonly<Record<'0' | '1', Value>>): Value => {
  const text = block.get(key) as string // whoever asks has seen that the key is there
  if (text !== '0' && text !== '1') throw invalid(key, '0 or 1', showWire(text))
  return values[text]
}

const number = (block: KvBlock, key: string, form: RegExp): number | undefined => {
  const text = optional(block, key)
  if (text === undefined) return undefined
  if (!form.test(text)) throw invalid(key, 'a number in plain digits', showWire(text))
  return Number(text)
}

/** Says how long the value is and not what it is: it may be the password. */
const bounded = (text: string | undefined, key: string, maxBytes: number): string | undefined => {
  const bytes = text === undefined ? 0 : Buffer.byteLength(text)
  if (bytes > maxBytes) throw invalid(key, `at most ${maxBytes} bytes`, `${bytes} bytes`)
  return text
}

const invalid = (key: string, expected: string, found: string): BackupError =>
  new BackupError('PROTOCOL_VALUE_INVALID', `expected ${expected} as the value of ${key}, found ${found}`, { key })
