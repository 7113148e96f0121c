/**
 * What the client can say about a backup that it has received whole.
 *
 * It is what `--json` prints and what lies beside the archive as `FILE.receipt`, so scripts
 * and later versions count on the field names. It says nothing about places: the two files
 * may be moved together.
 *
 * Pure. A receipt is read back strictly: one that says less, or other things, proves nothing.
 */

import type { ArchiveFacts, Coordinates, LogSequenceNumbers } from '../archive/index.ts'
import { BackupError } from '../errors/index.ts'
import { PACKINGS } from '../engines/index.ts'
import { type CompleteBlock, type ServerBlock, type SessionFacts, showWire } from '../protocol/index.ts'
import type { IncrementBase } from './increment-base.ts'
import type { PackedFacts } from './packed-file.ts'
import type { ArchiveFormat, Dialogue, StreamEncoding } from './request.ts'

/** Version of the form below. */
export const RECEIPT_VERSION = 1

/**
 * What a backup is known whole by. `agent-verdict`: the agent's own word that the backup program has succeeded, and its
 * digest of what it has sent. `archive`: the archive's own end and metadata alone.
 */
export type BackupProof = 'agent-verdict' | 'archive'

export interface Receipt {
  readonly receipt: typeof RECEIPT_VERSION
  readonly status: 'COMPLETE'
  readonly proof: BackupProof
  readonly sid: string | undefined
  /** Product and version of the agent. */
  readonly agent: string | undefined
  /** Version of the protocol that was spoken. */
  readonly protocol: string
  readonly format: ArchiveFormat
  readonly encoding: StreamEncoding
  /** What it was compressed with on its way, `zstd:3`; absent for an archive that came as it is. */
  readonly compression?: string | undefined
  /** The file beside the receipt, when the archive was kept compressed in it. */
  readonly packed?: PackedFacts | undefined
  /** Bytes of the archive, before compression and encoding. */
  readonly bytes: number
  /** Digest of exactly these bytes, hexadecimal. The archive's, and a compressed file has one of its own in `packed`. */
  readonly sha256: string
  /** Members of the archive, directories included. */
  readonly entries: number
  /** Files in the archive. */
  readonly files: number
  readonly engine: string
  readonly engineVersion: string | undefined
  /** Where to go on in the binary log; empty when the server writes none. */
  readonly coordinates: Coordinates
  readonly lsn: LogSequenceNumbers
  /** What the backup program calls it; `incremental` needs its base. Absent in receipts of earlier versions. */
  readonly backupType?: string | undefined
  /** Of an increment: what it was made upon. */
  readonly base?: ReceiptBase | undefined
  /** Names of the server and its data directory, to be compared. */
  readonly server?: ServerBlock | undefined
  /** Tablespaces that the agent filled up with zeros, and by how many bytes in all; absent when it did not say. */
  readonly paddedFiles: number | undefined
  readonly paddedBytes: number | undefined
  /** When the last byte had arrived, ISO 8601. */
  readonly finishedAt: string
  readonly seconds: number
}

/** The backup that an increment continues. */
export interface ReceiptBase {
  /** Where the base ended. */
  readonly lsn: string
  /** Session and digest of the base; absent where only the number is known. */
  readonly sid?: string | undefined
  readonly sha256?: string | undefined
}

/** What is known beside the archive itself. */
export interface Received
  extends Pick<
    Receipt,
    'sid' | 'format' | 'encoding' | 'compression' | 'packed' | 'sha256' | 'finishedAt' | 'seconds'
  > {
  readonly dialogue: Dialogue
  readonly session: SessionFacts | undefined
  readonly verdict: CompleteBlock | undefined
  /** What was asked to be built upon; undefined for a full backup. */
  readonly base: IncrementBase | undefined
}

/** Digest and time as measured by who received the bytes, the engine as the agent says, the rest from the archive itself. */
export const makeReceipt = (facts: ArchiveFacts, received: Received): Receipt => {
  const { session, verdict, base, sid, format, encoding, sha256, finishedAt, seconds } = received
  return {
    receipt: RECEIPT_VERSION,
    status: 'COMPLETE',
    proof: verdict === undefined ? 'archive' : 'agent-verdict',
    sid,
    agent: session?.agent ?? facts.mark?.product,
    protocol: received.dialogue,
    format,
    encoding,
    compression: received.compression,
    packed: received.packed,
    bytes: facts.bytes,
    sha256,
    entries: facts.members,
    files: facts.files,
    engine: session?.engine ?? facts.engine,
    engineVersion: session?.engineVersion ?? facts.mark?.engineVersion,
    coordinates: facts.coordinates,
    lsn: facts.lsn,
    backupType: facts.backupType,
    base: base === undefined ? undefined : baseOf(base, verdict),
    server: verdict?.server,
    paddedFiles: verdict?.paddedFiles,
    paddedBytes: verdict?.paddedBytes,
    finishedAt,
    seconds,
  }
}

const baseOf = (base: IncrementBase, verdict: CompleteBlock | undefined): ReceiptBase => {
  const sid = verdict?.increment?.baseSid ?? base.sid
  const sha256 = verdict?.increment?.baseSha256 ?? base.sha256
  return { lsn: base.lsn, ...(sid === undefined ? {} : { sid }), ...(sha256 === undefined ? {} : { sha256 }) }
}

/** As it stands in a file: for machines, and for the person who opens it. */
export const writeReceiptText = (receipt: Receipt): string => `${JSON.stringify(receipt, null, 2)}\n`

type Form = (value: unknown) => boolean
type Fields = Readonly<Record<string, unknown>>

const oneOf =
  (...values: readonly unknown[]): Form =>
  (value) =>
    values.includes(value)
const matching =
  (form: RegExp): Form =>
  (value) =>
    typeof value === 'string' && form.test(value)
const text: Form = (value) => typeof value === 'string'
const count: Form = (value) => Number.isSafeInteger(value) && (value as number) >= 0
const optional =
  (form: Form): Form =>
  (value) =>
    value === undefined || form(value)
const fields =
  (forms: Readonly<Record<string, Form>>): Form =>
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.entries(forms).every(([key, form]) => form((value as Fields)[key]))

const FORMS: Readonly<Record<keyof Receipt, Form>> = {
  receipt: oneOf(RECEIPT_VERSION),
  status: oneOf('COMPLETE'),
  proof: oneOf('agent-verdict' satisfies BackupProof, 'archive' satisfies BackupProof),
  sid: optional(text),
  agent: optional(text),
  protocol: text,
  format: oneOf('tar' satisfies ArchiveFormat, 'xbstream' satisfies ArchiveFormat),
  encoding: oneOf(...(['framed', 'octet', 'base64', 'uuencode'] satisfies StreamEncoding[])),
  compression: optional(text),
  packed: optional(fields({ packing: oneOf(...PACKINGS), bytes: count, sha256: matching(/^[0-9a-f]{64}$/) })),
  bytes: count,
  sha256: matching(/^[0-9a-f]{64}$/),
  entries: count,
  files: count,
  engine: text,
  engineVersion: optional(text),
  coordinates: fields({ binlogFile: optional(text), binlogPosition: optional(count), gtid: optional(text) }),
  lsn: fields({
    from: optional(matching(/^[0-9]{1,20}$/)),
    to: optional(matching(/^[0-9]{1,20}$/)),
    last: optional(matching(/^[0-9]{1,20}$/)),
  }),
  backupType: optional(text),
  base: optional(
    fields({
      lsn: matching(/^[0-9]{1,20}$/),
      sid: optional(text),
      sha256: optional(matching(/^[0-9a-f]{64}$/)),
    }),
  ),
  server: optional(fields({ uuid: optional(text), data: optional(text) })),
  paddedFiles: optional(count),
  paddedBytes: optional(count),
  finishedAt: (value) => text(value) && !Number.isNaN(Date.parse(value as string)),
  seconds: (value) => typeof value === 'number' && value >= 0,
}

/**
 * Reads a receipt back. Fields that this version does not know are skipped.
 *
 * @param path for messages
 * @throws BackupError `CLIENT_RECEIPT`
 */
export const parseReceipt = (json: string, path: string): Receipt => {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (cause) {
    throw noReceipt(path, 'it is not JSON', cause)
  }
  if (!fields({})(value)) throw noReceipt(path, 'it is not a JSON object')
  const receipt = value as Fields
  for (const [key, form] of Object.entries(FORMS)) {
    const found = receipt[key]
    if (form(found)) continue
    throw noReceipt(path, `it says ${showValue(found)} as its ${key}`)
  }
  return Object.fromEntries(Object.keys(FORMS).map((key) => [key, receipt[key]])) as unknown as Receipt
}

/** What a receipt holds may be nested so deep that nothing could write it down again: only its outside is shown. */
const showValue = (value: unknown): string => {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return showWire(value)
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object'
  return String(value)
}

export const noReceipt = (path: string, why: string, cause?: unknown): BackupError =>
  new BackupError('CLIENT_RECEIPT', `${path} is no receipt of this version: ${why}`, { path }, { cause, hint: AWAY })

/** A damaged receipt says nothing against the archive. */
const AWAY = 'move it away to check the archive by its own end and metadata alone, or update this program'
