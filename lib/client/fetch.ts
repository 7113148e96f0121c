/**
 * Fetches one backup: asks, receives, proves, and only then gives it a name.
 *
 *     socket ─▶ decoder ─┬▶ sha256
 *                        └▶ proof of the archive ─▶ FILE.part | DIR.part | a stream
 *
 * Anything short of a whole archive is thrown, and what was written is removed.
 */

import { createHash } from 'node:crypto'
import type { Writable } from 'node:stream'

import { type ArchiveFacts, ArchiveProof, extractTar } from '../archive/index.ts'
import { createDecoder, type EncodingName } from '../encodings/index.ts'
import { BackupError } from '../errors/index.ts'
import { ByteMeter } from '../flow/index.ts'
import { PartFile } from './part-file.ts'
import { makeReceipt, type Receipt } from './receipt.ts'
import { interrupted, openStream } from './request.ts'
import { StagingDirectory } from './staging-directory.ts'

/** Where the backup goes: exactly one of these. */
export type FetchTarget =
  /** A tar file; made as `FILE.part`, named when whole. */
  | { readonly file: string }
  /** A directory that is empty or does not exist; made as `DIR.part`, named when whole. */
  | { readonly directory: string }
  /** The caller's own stream; whether it was whole is known only from the receipt. */
  | { readonly stream: Writable }

export interface FetchOptions {
  readonly host: string
  readonly port: number
  readonly target: FetchTarget
  readonly user?: string | undefined
  readonly password?: string | undefined
  /** Names the session; the agent makes one up otherwise. */
  readonly sid?: string | undefined
  readonly encoding?: EncodingName | undefined
  readonly connectSeconds?: number | undefined
  /** How long the agent may be silent. */
  readonly silenceSeconds?: number | undefined
  /** Stops the fetch; nothing is left behind. */
  readonly signal?: AbortSignal | undefined
}

export interface FetchProgress {
  /** `asking` until the agent says the backup has begun. */
  readonly stage: 'asking' | 'receiving'
  /** The agent's words when it began to send. */
  readonly msg: string | undefined
  /** Bytes of the archive so far. */
  readonly bytes: number
  /** Over the last seconds. */
  readonly bytesPerSecond: number
  readonly seconds: number
}

/** Machines on a database's network answer at once or not at all. */
const DEFAULT_CONNECT_SECONDS = 10
/** A long FLUSH on a busy server keeps the engine quiet for minutes. */
export const DEFAULT_SILENCE_SECONDS = 600

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
 * @throws (from `receipt`) BackupError `CLIENT_*`, `ENCODING_*`, `ARCHIVE_*`, `PROTOCOL_ANSWER_INVALID`
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
  const state: FetchState = { meter, msg: undefined }
  const receipt = run(options, state)
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
        yield {
          stage: state.msg === undefined ? 'asking' : 'receiving',
          msg: state.msg,
          bytes: meter.bytes,
          bytesPerSecond: meter.rate(),
          seconds: meter.elapsedMs / 1000,
        }
      }
    },
  }
}

interface FetchState {
  readonly meter: ByteMeter
  msg: string | undefined
}

/** What a fetch writes to. `receive` proves the archive; `commit` gives it its name. */
interface Sink {
  readonly path: string | undefined
  receive(archive: AsyncIterable<Buffer>): Promise<ArchiveFacts>
  commit(): Promise<void>
  discard(): Promise<void>
}

const run = async (options: FetchOptions, state: FetchState): Promise<Receipt> => {
  const { host, port, user, password, sid, encoding = 'octet' } = options
  const signal = options.signal ?? new AbortController().signal
  // Before a byte is asked for: a target that cannot be would waste a backup.
  const sink = await openSink(options.target, signal)
  try {
    const { answer, wire, close } = await openStream({
      host,
      port,
      user,
      password,
      sid,
      encoding,
      connectMs: (options.connectSeconds ?? DEFAULT_CONNECT_SECONDS) * 1000,
      silenceMs: (options.silenceSeconds ?? DEFAULT_SILENCE_SECONDS) * 1000,
      signal,
    })
    state.msg = answer.get('msg') ?? ''
    const sha256 = createHash('sha256')
    try {
      const facts = await sink.receive(decoded(wire, encoding, sha256, state.meter))
      await sink.commit()
      return makeReceipt(facts, {
        path: sink.path,
        sid: answer.get('sid') ?? sid,
        encoding,
        sha256: sha256.digest('hex'),
        seconds: Math.round(state.meter.elapsedMs) / 1000,
      })
    } finally {
      close()
    }
  } catch (error) {
    await sink.discard()
    throw error
  }
}

/** The archive as it was before it was dressed for the wire, hashed and counted as it passes. */
async function* decoded(
  wire: AsyncIterable<Buffer>,
  encoding: EncodingName,
  sha256: ReturnType<typeof createHash>,
  meter: ByteMeter,
): AsyncGenerator<Buffer> {
  const decoder = createDecoder(encoding)
  const pass = (archive: Buffer): Buffer => {
    sha256.update(archive)
    meter.add(archive.length)
    return archive
  }
  for await (const bytes of wire) for (const archive of decoder.decode(bytes)) yield pass(archive)
  for (const archive of decoder.end()) yield pass(archive)
}

const openSink = async (target: FetchTarget, signal: AbortSignal): Promise<Sink> => {
  if ('file' in target) {
    const file = await PartFile.create(target.file)
    return {
      path: target.file,
      receive: (archive) => proved(archive, (bytes) => file.write(bytes)),
      commit: () => file.commit(),
      discard: () => file.discard(),
    }
  }
  if ('directory' in target) {
    const staging = await StagingDirectory.create(target.directory)
    return {
      path: target.directory,
      receive: (archive) => extractTar(archive, staging.path, { signal }),
      commit: () => staging.commit(),
      discard: () => staging.discard(),
    }
  }
  target.stream.on('error', () => undefined) // every write gets it too, and says so
  return {
    path: undefined,
    receive: (archive) => proved(archive, (bytes) => written(target.stream, bytes, signal)),
    commit: async () => undefined,
    discard: async () => undefined,
  }
}

const proved = async (
  archive: AsyncIterable<Buffer>,
  write: (bytes: Buffer) => Promise<void>,
): Promise<ArchiveFacts> => {
  const proof = new ArchiveProof()
  for await (const bytes of archive) {
    proof.push(bytes)
    await write(bytes)
  }
  return proof.finish()
}

/** Returns when the bytes are out. A reader that closed its end early (`| head`) is a failed write, not a whole backup. */
const written = async (stream: Writable, bytes: Buffer, signal: AbortSignal): Promise<void> => {
  if (stream.destroyed) throw brokenOutput(stream.errored)
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => reject(interrupted(signal))
    signal.addEventListener('abort', onAbort, { once: true })
    stream.write(bytes, (error) => {
      signal.removeEventListener('abort', onAbort)
      if (error) reject(brokenOutput(error))
      else resolve()
    })
    if (signal.aborted) onAbort()
  })
}

const brokenOutput = (cause: unknown): BackupError => {
  const errno = (cause as NodeJS.ErrnoException | null)?.code ?? 'closed'
  return new BackupError('CLIENT_WRITE', `cannot write to the output: ${errno}`, { errno }, { cause })
}
