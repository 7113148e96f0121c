/**
 * The blocks inside a framed stream, and the one that answers it.
 *
 *     agent:   ACCEPTED … SENDING │ D D P D … P D │ E: status=COMPLETE, bytes, sha256, …
 *     client:                                       status=RECEIVED, bytes, sha256
 *
 * Each is written and read here, so that the two halves cannot drift apart. A reader
 * takes what it knows, checks its form, and ignores other keys. A writer makes free text
 * fit, whatever it holds: the end of a backup must not fail because of its own words.
 *
 * Pure. Keys: PROTOCOL.md, "Blocks of a framed stream".
 */

import { BackupError } from '../errors/index.ts'
import { type BackupPosition, positionPairs, readPosition } from './backup-position.ts'
import {
  count,
  fitting,
  MAX_COUNT,
  optionalCount,
  optionalLsn,
  optionalPercent,
  pairsOf,
  parseBlock,
  present,
  required,
  sha256,
} from './block-fields.ts'
import type { KvBlock } from './kv-block-parser.ts'
import { writeKvBlock } from './kv-block-writer.ts'
import { escapeControls, showWire } from './wire-text.ts'

/** What is being done for the client, said before anything is there to be sent. */
export interface SessionFacts {
  /** Product and version, `kv-backup-agent/0.1.0`. */
  readonly agent: string
  readonly protocol: string
  readonly engine: string
  readonly engineVersion: string
  readonly format: 'tar' | 'xbstream'
  /** A MIME type. */
  readonly encoding: string
  /** `none`, or what the archive is compressed with: `zstd:3`. */
  readonly compression: string
  /** Which of the agent's servers; left out for one that has no name. */
  readonly instance?: string
}

/** How far a backup is. */
export interface ProgressBlock {
  /** Bytes of the archive that exist so far. */
  readonly bytes: number
  /** Bytes of the archive that were put on the wire so far. */
  readonly sent: number
  readonly files: number
  /** The engine's own word; `sending` when the engine is done. */
  readonly stage: string
  /** 0 to 100; absent while nobody knows how much it will be. */
  readonly percent?: number
  /** Seconds. */
  readonly eta?: number
}

/** The end of a complete backup. */
export interface CompleteBlock extends BackupPosition {
  readonly status: 'COMPLETE'
  readonly msg: string
  readonly sid: string
  /** Of the archive. */
  readonly bytes: number
  /** Of the archive as it was produced, 64 hexadecimal digits. */
  readonly sha256: string
  /** Members of the archive. */
  readonly entries: number
  /** Tablespaces that were filled up with zeros, and by how many bytes in all. */
  readonly paddedFiles: number
  readonly paddedBytes: number
  readonly engine: string
  readonly engineVersion: string
  readonly engineExit: number
  /** Absent for a full backup. */
  readonly increment?: IncrementBlock | undefined
  /** Which server it is of, as far as the agent knows. */
  readonly server?: ServerBlock | undefined
}

/** What an incremental backup is based on, and where it ends. */
export interface IncrementBlock {
  /** Where its base ended, and it begins; digits. */
  readonly fromLsn: string
  /** Where it ends: the base of the next one begins there. */
  readonly toLsn: string
  /** Session and digest of the base; absent where the agent took the client's word for it. */
  readonly baseSid?: string | undefined
  readonly baseSha256?: string | undefined
}

/** Names that are compared, and mean nothing else. */
export interface ServerBlock {
  /** Of the server. */
  readonly uuid?: string | undefined
  /** Of its data directory. */
  readonly data?: string | undefined
}

/** The end of a stream without a backup. */
export interface FailedBlock {
  readonly status: 'FAILED'
  readonly msg: string
  readonly sid: string
  /** Name of the failure; empty when the agent did not say. */
  readonly code: string
  /** Bytes of the archive so far. */
  readonly bytes: number
  readonly engineExit?: number
  readonly engineSignal?: string
}

export type EndBlock = CompleteBlock | FailedBlock

/** The client's answer to a complete end. `PASSED`: every byte came and went on to where the client cannot see it kept. */
export type ReceiptBlock =
  | { readonly status: 'RECEIVED' | 'PASSED'; readonly sid: string; readonly bytes: number; readonly sha256: string }
  | { readonly status: 'FAILED'; readonly msg: string }

/** Pairs of the first block of a session, behind `status`, `msg` and `sid`. */
export const sessionPairs = (facts: SessionFacts): [string, string][] =>
  pairsOf({
    agent: facts.agent,
    protocol: facts.protocol,
    engine: fitting(facts.engine),
    'engine-version': fitting(facts.engineVersion),
    format: facts.format,
    encoding: facts.encoding,
    compression: facts.compression,
    instance: facts.instance,
  })

/** `percent` and `eta` are estimates: they are rounded down, and left out when they are no number at all. */
export const writeProgress = ({ bytes, sent, files, stage, percent, eta }: ProgressBlock): Buffer =>
  writeKvBlock(
    pairsOf({
      bytes,
      sent,
      files,
      stage: fitting(stage),
      percent: estimate(percent, 100),
      eta: estimate(eta, MAX_COUNT),
    }),
  )

/** @throws BackupError `PROTOCOL_*` */
export const readProgress = (bytes: Buffer): ProgressBlock => {
  const block = parseBlock(bytes)
  return {
    bytes: count(block, 'bytes'),
    sent: count(block, 'sent'),
    files: count(block, 'files'),
    stage: required(block, 'stage'),
    ...present({ percent: optionalPercent(block, 'percent'), eta: optionalCount(block, 'eta') }),
  }
}

export const writeEnd = (end: EndBlock): Buffer => {
  const head = pairsOf({ status: end.status, msg: fitting(end.msg), sid: escapeControls(end.sid) })
  if (end.status === 'FAILED') {
    const { code, bytes, engineExit, engineSignal } = end
    return writeKvBlock([
      ...head,
      ...pairsOf({ code: fitting(code), bytes, 'engine-exit': engineExit }),
      ...pairsOf({ 'engine-signal': engineSignal === undefined ? undefined : fitting(engineSignal) }),
    ])
  }
  return writeKvBlock([
    ...head,
    ...pairsOf({ bytes: end.bytes, sha256: end.sha256, entries: end.entries }),
    ...positionPairs(end),
    ...incrementPairs(end),
    ...pairsOf({
      'padded-files': end.paddedFiles,
      'padded-bytes': end.paddedBytes,
      engine: fitting(end.engine),
      'engine-version': fitting(end.engineVersion),
      'engine-exit': end.engineExit,
    }),
  ])
}

const incrementPairs = ({ increment, server }: CompleteBlock): [string, string][] =>
  pairsOf({
    'from-lsn': increment?.fromLsn,
    'to-lsn': increment?.toLsn,
    'base-sid': increment?.baseSid === undefined ? undefined : escapeControls(increment.baseSid),
    'base-sha256': increment?.baseSha256,
    'server-uuid': server?.uuid === undefined ? undefined : fitting(server.uuid),
    'server-data': server?.data === undefined ? undefined : fitting(server.data),
  })

/** @throws BackupError `PROTOCOL_*`, also for a status that is neither: then nobody knows how it ended */
export const readEnd = (bytes: Buffer): EndBlock => {
  const block = parseBlock(bytes)
  const status = required(block, 'status')
  switch (status) {
    case 'FAILED':
      return readFailed(block)
    case 'COMPLETE':
      return readComplete(block)
    default:
      throw new BackupError(
        'PROTOCOL_VALUE_INVALID',
        `expected the status COMPLETE or FAILED at the end of a stream, found ${showWire(status)}`,
        { key: 'status' },
      )
  }
}

/** A failure is one however little is said about it: only a value that cannot be is refused. */
const readFailed = (block: KvBlock): FailedBlock => ({
  status: 'FAILED',
  msg: block.get('msg') ?? '',
  sid: block.get('sid') ?? '',
  code: block.get('code') ?? '',
  bytes: optionalCount(block, 'bytes') ?? 0,
  ...present({ engineExit: optionalCount(block, 'engine-exit'), engineSignal: block.get('engine-signal') }),
})

/** Nobody is believed to have a complete backup who leaves out what it is measured by. */
const readComplete = (block: KvBlock): CompleteBlock => ({
  status: 'COMPLETE',
  msg: block.get('msg') ?? '',
  sid: required(block, 'sid'),
  bytes: count(block, 'bytes'),
  sha256: sha256(block, 'sha256'),
  entries: count(block, 'entries'),
  ...readPosition(block),
  paddedFiles: count(block, 'padded-files'),
  paddedBytes: count(block, 'padded-bytes'),
  engine: required(block, 'engine'),
  engineVersion: required(block, 'engine-version'),
  engineExit: exitOfSuccess(block),
  ...present({ increment: incrementIn(block), server: serverIn(block) }),
})

/** One of the two numbers without the other tells nothing that could be checked. */
const incrementIn = (block: KvBlock): IncrementBlock | undefined => {
  const fromLsn = optionalLsn(block, 'from-lsn')
  const toLsn = optionalLsn(block, 'to-lsn')
  if (fromLsn === undefined && toLsn === undefined) return undefined
  if (fromLsn === undefined) required(block, 'from-lsn')
  if (toLsn === undefined) required(block, 'to-lsn')
  const baseSha256 = block.has('base-sha256') ? sha256(block, 'base-sha256') : undefined
  const base = present({ baseSid: block.get('base-sid'), baseSha256 })
  return { fromLsn: fromLsn as string, toLsn: toLsn as string, ...base }
}

const serverIn = (block: KvBlock): ServerBlock | undefined => {
  const server = present({ uuid: block.get('server-uuid'), data: block.get('server-data') })
  return Object.keys(server).length === 0 ? undefined : server
}

const exitOfSuccess = (block: KvBlock): number => {
  const exit = count(block, 'engine-exit')
  if (exit === 0) return exit
  throw new BackupError(
    'PROTOCOL_VALUE_INVALID',
    `expected 0 as the value of engine-exit of a complete backup, found ${exit}`,
    { key: 'engine-exit' },
  )
}

export const writeReceipt = (receipt: ReceiptBlock): Buffer => {
  if (receipt.status === 'FAILED') return writeKvBlock(pairsOf({ status: receipt.status, msg: fitting(receipt.msg) }))
  const { status, sid, bytes, sha256 } = receipt
  return writeKvBlock(pairsOf({ status, sid: escapeControls(sid), bytes, sha256 }))
}

/** @throws BackupError `PROTOCOL_*` */
export const readReceipt = (bytes: Buffer): ReceiptBlock => {
  const block = parseBlock(bytes)
  const status = required(block, 'status')
  switch (status) {
    case 'FAILED':
      return { status, msg: block.get('msg') ?? '' }
    case 'RECEIVED':
    case 'PASSED':
      return { status, sid: required(block, 'sid'), bytes: count(block, 'bytes'), sha256: sha256(block, 'sha256') }
    default:
      throw new BackupError(
        'PROTOCOL_VALUE_INVALID',
        `expected the status RECEIVED, PASSED or FAILED in a receipt, found ${showWire(status)}`,
        { key: 'status' },
      )
  }
}

/** Rounded down, no more than `most`; nothing for what is no estimate. */
const estimate = (number: number | undefined, most: number): number | undefined =>
  number === undefined || !Number.isFinite(number) || number < 0 ? undefined : Math.min(most, Math.floor(number))
