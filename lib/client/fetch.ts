/**
 * Fetches one backup: asks, receives, proves, and only then gives it a name.
 *
 *     socket ─▶ frames │ decoder ─▶ decompressor ─┬▶ sha256, the agent's verdict
 *                                                 └▶ proof of the archive ─▶ FILE.part │ DIR.part │ a stream
 *
 *     whole ─▶ durable ─▶ FILE.receipt ─▶ FILE ─▶ the agent is told
 *
 * Anything short of a whole archive is thrown, and what was written is removed.
 */

import { findDecompressor } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { ByteMeter } from '../flow/index.ts'
import { compressionText, type ProgressBlock, type SessionFacts, writeReceipt } from '../protocol/index.ts'
import { Arrival } from './arrival.ts'
import { checkFallback, checkOptions, type FetchOptions, planPacking } from './fetch-options.ts'
import { openSink } from './fetch-sink.ts'
import { checkIncrement, type IncrementBase, readIncrementBase } from './increment-base.ts'
import { makeReceipt, type Receipt } from './receipt.ts'
import { ReceiptFile, receiptPath } from './receipt-file.ts'
import { type OpenStream, openStream } from './request.ts'
import { checkTargetNames } from './target-names.ts'
import { withinSeconds } from './time-limit.ts'

export interface FetchProgress {
  /** `asking` until the agent has accepted, `preparing` until the backup program gives the first bytes. */
  readonly stage: 'asking' | 'preparing' | 'receiving'
  /** Name of the session, for those who want to cancel it or ask for its verdict; said when the agent accepts. */
  readonly sid: string | undefined
  /** What the agent does for us; older ones do not say. */
  readonly session: SessionFacts | undefined
  /** The agent's words when it began to send. */
  readonly msg: string | undefined
  /** Bytes of the archive so far. */
  readonly bytes: number
  /** Over the last seconds. */
  readonly bytesPerSecond: number
  readonly seconds: number
  /** How far the backup on the database host is, as the agent last said; only in a framed stream. */
  readonly backup: ProgressBlock | undefined
}

/** Machines on a database's network answer at once or not at all. */
const DEFAULT_CONNECT_SECONDS = 10
/** A long FLUSH on a busy server keeps the engine quiet for minutes. */
export const DEFAULT_SILENCE_SECONDS = 600
/** In a framed stream something comes every five seconds. Source: PROTOCOL.md, "x-framed-stream". */
export const FRAMED_SILENCE_SECONDS = 60

const PROGRESS_MS = 500

/** A running fetch: iterate it for progress if you like, await `receipt` in any case. */
export interface BackupFetch extends AsyncIterable<FetchProgress> {
  /** Resolves when the backup is whole, durable and has its name. */
  readonly receipt: Promise<Receipt>
}

/**
 * Starts fetching at once. Progress comes about twice a second, the newest only: a slow
 * consumer skips some and holds nothing up. The iteration ends when the fetch does, well or
 * badly; which of the two, says `receipt`.
 *
 * @throws (from `receipt`) BackupError `CLIENT_*`, `FRAME_*`, `ENCODING_*`, `COMPRESS_*`, `ARCHIVE_*`, `PROTOCOL_*`; `CLI_USAGE` for
 *   options that contradict each other
 * @example
 *   import { fetchBackup } from 'kv-backup-agent'
 *
 *   const { AGENT_PORT = '25300', BACKUP_PASSWORD = '' } = process.env
 *   const fetch = fetchBackup({
 *     host: '127.0.0.1',
 *     port: Number(AGENT_PORT),
 *     user: 'backup',
 *     password: BACKUP_PASSWORD,
 *     target: { file: 'fetched.tar' },
 *   })
 *   for await (const { bytes } of fetch) console.error(`${bytes} bytes so far`)
 *   console.log((await fetch.receipt).sha256)
 */
export const fetchBackup = (options: FetchOptions): BackupFetch => {
  const meter = new ByteMeter(() => performance.now())
  const state: FetchState = {
    meter,
    stage: 'asking',
    sid: undefined,
    session: undefined,
    msg: undefined,
    backup: undefined,
  }
  const receipt = withinSeconds(options.maxSeconds, options.signal, (signal) => run({ ...options, signal }, state))
  const ended = receipt.then(
    () => undefined,
    () => undefined,
  )
  return {
    receipt,
    async *[Symbol.asyncIterator]() {
      let running = true
      void ended.then(() => {
        running = false
      })
      while (running) {
        let timer: NodeJS.Timeout | undefined
        await Promise.race([ended, new Promise((resolve) => (timer = setTimeout(resolve, PROGRESS_MS)))])
        clearTimeout(timer)
        const { stage, sid, session, msg, backup } = state
        yield {
          stage,
          sid,
          session,
          msg,
          bytes: meter.bytes,
          bytesPerSecond: meter.rate(),
          seconds: meter.elapsedMs / 1000,
          backup,
        }
      }
    },
  }
}

type FetchState = { -readonly [Key in 'stage' | 'sid' | 'session' | 'msg' | 'backup']: FetchProgress[Key] } & {
  readonly meter: ByteMeter
}

const run = async (options: FetchOptions & { readonly signal: AbortSignal }, state: FetchState): Promise<Receipt> => {
  const { encoding = 'framed', format = 'tar', target, signal, maxBytes } = options
  checkOptions(options)
  const { compression, packing, isKept } = planPacking(options)
  await checkTargetNames(target, options.receiptFile === false ? undefined : options.receiptFile)
  // Before a byte is asked for: a target that cannot be would waste a backup.
  const base = await baseOf(options, signal)
  if (packing !== undefined && packing !== 'gzip') await findDecompressor(packing)
  const sink = await openSink(target, format, signal, isKept)
  let receiptFile: ReceiptFile | undefined
  let stream: OpenStream | undefined
  let arrival: Arrival | undefined
  try {
    receiptFile = await openReceiptFile(options)
    stream = await openStream({
      ...options,
      encoding,
      format,
      base,
      compression,
      olderDialogue: options.protocol === '0.76',
      checkFallback: () => checkFallback(options),
      connectMs: (options.connectSeconds ?? DEFAULT_CONNECT_SECONDS) * 1000,
      silenceMs: (options.silenceSeconds ?? DEFAULT_SILENCE_SECONDS) * 1000,
      signal,
      onAccepted: (session, sid) => {
        state.sid = sid
        state.session = session
        state.stage = 'preparing'
      },
    })
    const { link, answer, wire } = stream
    state.sid ??= answer.get('sid')
    state.msg = answer.get('msg') ?? ''
    state.stage = 'receiving'
    if (stream.encoding === 'framed') link.silenceMs = (options.silenceSeconds ?? FRAMED_SILENCE_SECONDS) * 1000
    link.usesUp = sink.usesUp
    arrival = new Arrival({
      encoding: stream.encoding,
      packing,
      usesUp: sink.usesUp,
      maxBytes,
      ...(sink.keepPacked === undefined ? {} : { keepPacked: sink.keepPacked }),
      signal,
      onBytes: (bytes) => state.meter.add(bytes),
      onProgress: (backup) => {
        state.backup = backup
      },
    })
    const facts = await sink.receive(arrival.bytes(wire))
    checkEntries(arrival, facts.members)
    checkIncrement(base, facts, arrival.verdict)
    const receipt = makeReceipt(facts, {
      ...stream,
      verdict: arrival.verdict,
      base,
      sid: arrival.verdict?.sid ?? answer.get('sid') ?? options.sid,
      format,
      compression: compression === undefined ? undefined : compressionText(compression),
      packed: isKept ? arrival.packed : undefined,
      sha256: arrival.digest,
      finishedAt: new Date().toISOString(),
      seconds: Math.round(state.meter.elapsedMs) / 1000,
    })
    await sink.seal()
    refuseBytesBehindTheEnd(stream, arrival)
    await receiptFile?.keep(receipt)
    await sink.commit()
    if (arrival.verdict !== undefined) {
      const { sid } = arrival.verdict
      const status = sink.keeps ? 'RECEIVED' : 'PASSED'
      await link.finish(writeReceipt({ status, sid, bytes: receipt.bytes, sha256: receipt.sha256 }))
    }
    return receipt
  } catch (error) {
    await sink.discard()
    await receiptFile?.discard()
    // The agent has done its part, and waits to be told.
    if (arrival?.verdict !== undefined) {
      await stream?.link.finish(writeReceipt({ status: 'FAILED', msg: reasonOf(error) }))
    }
    throw error
  } finally {
    stream?.link.close()
  }
}

const baseOf = async (
  { incrementalFrom, incrementalLsn }: FetchOptions,
  signal: AbortSignal,
): Promise<IncrementBase | undefined> => {
  if (incrementalLsn !== undefined) return { lsn: incrementalLsn }
  return incrementalFrom === undefined ? undefined : readIncrementBase(incrementalFrom, signal)
}

const reasonOf = (error: unknown): string => (error instanceof BackupError ? error.message : 'a bug in the client')

const openReceiptFile = async ({ target, receiptFile }: FetchOptions): Promise<ReceiptFile | undefined> => {
  if (receiptFile === false) return undefined
  if (receiptFile !== undefined) return ReceiptFile.create(receiptFile, false)
  // Without its archive a receipt there is a leftover: the archive's name was free when the target was opened.
  return 'file' in target ? ReceiptFile.create(receiptPath(target.file), true) : undefined
}

const checkEntries = ({ verdict }: Arrival, entries: number): void => {
  if (verdict === undefined || verdict.entries === entries) return
  throw new BackupError(
    'CLIENT_MISMATCH',
    `expected ${verdict.entries} members, as the agent says, found ${entries}: what arrived is not what it has sent`,
    { entries, agentEntries: verdict.entries },
  )
}

/** Those in the same piece as the end were refused with it; these came while the backup was being made durable. */
const refuseBytesBehindTheEnd = ({ link }: OpenStream, { verdict }: Arrival): void => {
  if (verdict === undefined || link.unreadBytes === 0) return
  throw new BackupError('FRAME_CORRUPT', `expected nothing behind the end frame, found ${link.unreadBytes} bytes`, {
    bytes: link.unreadBytes,
  })
}
