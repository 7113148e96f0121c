/**
 * The way of a backup's bytes, from the engine to whoever sends them. Read this file first.
 *
 *     engines ─▶ archive ─▶ digest ─▶ flow/spill ─┬▶ toArchive: the bytes themselves, for a stream with a trailer
 *     xbstream    tar, or                memory,  │
 *                 checked                disk     └▶ toWire: flow/never-quiet ─▶ encodings ─▶ flow/hold-back
 *                                                     a reserve for quiet times   wire units   nothing that ends
 *                                                                                              like a whole archive
 *
 * The digest is given copies and made beside all this (`flow/side-digest`); the verdict waits for it. Whoever was the
 * last to look at bytes of the engine gives them back (`takeBack`), so that the next ones are read into the same memory.
 *
 * A client that wants it compressed gets both from `packed-pipeline.ts`: there a compressor
 * stands behind the spill, so the engine still never waits for more than the disk.
 *
 * Up to the spill the engine sets the pace, behind it the network does: a slow receiver
 * makes the spill fill, and only a full one makes the engine wait. The end of the archive
 * does not leave until `decide` has returned.
 */

import {
  type ArchiveMark,
  checkedXbstream,
  filesToTar,
  RefusedEnds,
  type SpoolSettings,
  type TarSummary,
  xbstreamToTar,
} from '../archive/index.ts'
import type { Encoder } from '../encodings/index.ts'
import type { EngineRun } from '../engines/index.ts'
import { decoupled, HoldBack, neverQuiet, type Spill, type Wait } from '../flow/index.ts'

export type ArchiveFormat = 'tar' | 'xbstream'

export interface PipelineOptions {
  readonly format: ArchiveFormat
  readonly mark: ArchiveMark
  readonly spill: Spill
  /** Bytes of small files kept in memory while their size is not known. */
  readonly memoryBytes: number
  readonly spool: SpoolSettings
  /** Modification time of the members that come without one. */
  readonly mtimeMs: number
  readonly signal: AbortSignal
  /**
   * Called once, when every member is made and the engine's output has ended. Resolves when the engine is gone;
   * throws when there can be no backup any more: what waits in the spill is not sent then.
   */
  settle(): Promise<void>
  /**
   * Called once, when every byte is through and only the end is left here. Resolves when the backup is complete;
   * throws in every other case: then the end never leaves.
   */
  decide(summary: TarSummary, sentBytes: number): Promise<void>
  /** Called with every piece that the engine gives. */
  onEngineBytes(bytes: number): void
  onMember(path: string, sizeBytes: number): void
  /** Called with every piece of a file, by its name in the xbstream. */
  onData(path: string, bytes: number): void
  /** Called with every piece of the archive as it is made. The next one is made when what it returns has resolved. */
  onArchiveBytes(bytes: Buffer): Promise<void> | undefined
  /** Called when what was yielded has left: so many bytes of the archive have, since the beginning. */
  onLeft(archiveBytes: number): void
  /** Called at once when the archive cannot be made, also while nobody pulls. */
  onFailure(error: unknown): void
}

export interface WireOptions extends PipelineOptions {
  readonly encoder: Encoder
  /** Raw bytes in one read of the client. */
  readonly blockBytes: number
  readonly wait: Wait
  /** A monotonic clock in milliseconds. */
  readonly nowMs: () => number
  /** Called when the engine is quiet and the reserve is used; so much of it is left. */
  onQuiet(reserveBytes: number): void
}

/** What the engine hands over: its output with the first bytes already seen, or files. */
export type PipelineSource =
  | { readonly run: Extract<EngineRun, { kind: 'xbstream' }>; readonly output: AsyncIterable<Buffer> }
  | { readonly run: Extract<EngineRun, { kind: 'files' }> }

/** A deployed client gives up after 30 s in one read. Source: wire-facts, "Silence": never more than 10 s. */
export const QUIET_MS = 8_000

/** Lasts for half an hour of silence with the usual block size, and for minutes with the largest. */
const RESERVE_BLOCKS = 32
const MIN_RESERVE_BYTES = 2 * 1024 * 1024
export const reserveBytesFor = (blockBytes: number): number => Math.max(RESERVE_BLOCKS * blockBytes, MIN_RESERVE_BYTES)

/** More than any encoding makes of one block: what completes a read wherever it began. */
export const WIRE_PER_RAW = 1.5

/** What leaves in one go, at most: how far a slow receiver has come must be seen in small steps. */
const MAX_PIECE_BYTES = 256 * 1024

/**
 * The bytes of the archive, in order. Nothing of its end is yielded before the verdict.
 *
 * Returning means: the verdict was good and everything was yielded. It throws in every other case.
 */
export async function* toArchive(source: PipelineSource, options: PipelineOptions): AsyncGenerator<Buffer> {
  const made = new Made()
  let sentBytes = 0
  const held: Buffer[] = []
  for await (const bytes of pieces(source, options, made)) {
    sentBytes += bytes.length
    const isEnd = made.summary !== undefined && sentBytes > made.summary.archiveBytes
    if (isEnd) {
      held.push(bytes)
      continue
    }
    yield bytes
    options.onLeft(sentBytes)
  }
  await options.decide(made.whole, sentBytes)
  yield* held
  options.onLeft(sentBytes)
}

/**
 * The bytes for the wire of a client that sees no trailer, in order, in bursts. What is in one burst leaves in
 * one write: only at the end of a burst is the stream where it may stop for ever.
 *
 * Returning means: the verdict was good and everything was yielded. It throws in
 * every other case, and then the caller resets the connection.
 */
export async function* toWire(source: PipelineSource, options: WireOptions): AsyncGenerator<Buffer[]> {
  const { encoder, blockBytes, wait, nowMs } = options
  const made = new Made()
  let encodedBytes = 0
  let leftBytes = 0
  const ends = new RefusedEnds()
  const holdBack = new HoldBack((rawOffset) => {
    ends.forgetBelow(rawOffset)
    return rawOffset <= made.lastOffset && ends.isRefusedAt(rawOffset)
  })

  const steady = neverQuiet(pieces(source, options, made), {
    reserveBytes: reserveBytesFor(blockBytes),
    unitBytes: blockBytes,
    quietMs: QUIET_MS,
    wait,
    nowMs,
    onSpent: (reserveBytes) => {
      leftBytes = 0
      options.onQuiet(reserveBytes)
    },
    enough: () => leftBytes >= WIRE_PER_RAW * blockBytes,
  })
  for await (const tarBytes of steady) {
    ends.push(tarBytes)
    encodedBytes += tarBytes.length
    const encoded = encoder.encode(tarBytes)
    // Where the wire is made of other bytes, these have been looked at for the last time.
    if (!encoder.givesViews) takeBack(source, options.spill, [tarBytes])
    const burst: Buffer[] = []
    let rawEnd = 0
    for (const piece of encoded) {
      const free = holdBack.push(piece)
      if (free.length > 0) rawEnd = piece.rawEnd
      burst.push(...free)
    }
    if (burst.length === 0) continue
    leftBytes += burst.reduce((sum, wire) => sum + wire.length, 0)
    yield burst
    options.onLeft(rawEnd)
  }
  for (const piece of encoder.end()) holdBack.push(piece)
  await options.decide(made.whole, encodedBytes)
  yield holdBack.release()
  options.onLeft(encodedBytes)
}

/**
 * Gives bytes of the archive back that nobody looks at any more, each once, to the engine or to the spill's disk: see
 * `LentBuffers`. The digest and the proofs have copied what they need, and of what is being written to the disk nothing
 * counts that was handed out.
 */
export const takeBack = (source: PipelineSource, spill: Spill, views: readonly Buffer[]): void => {
  if ('output' in source) source.run.buffers?.takeBack(views)
  spill.takeBack(views)
}

/** The archive as the spill hands it out, in small pieces. */
export async function* pieces(source: PipelineSource, options: PipelineOptions, made: Made): AsyncGenerator<Buffer> {
  const archive = watched(
    toFormat(source, options, async (summary) => {
      await options.settle()
      made.summary = summary
    }),
    options,
  )
  const { signal, onFailure } = options
  for await (const bytes of decoupled(archive, options.spill, { signal, onSourceFailure: onFailure })) {
    for (let at = 0; at < bytes.length; at += MAX_PIECE_BYTES) yield bytes.subarray(at, at + MAX_PIECE_BYTES)
  }
}

/** What is known when the archive is made, which may be long before it is sent. */
export class Made {
  summary: TarSummary | undefined

  /** Behind this offset stands nothing but the end of the archive. Unknown is far away: it is told before the end is made. */
  get lastOffset(): number {
    return this.summary?.archiveBytes ?? Number.POSITIVE_INFINITY
  }

  get whole(): TarSummary {
    if (this.summary === undefined) throw new Error('bug: an archive ended without a summary')
    return this.summary
  }
}

async function* watched(archive: AsyncIterable<Buffer>, options: PipelineOptions): AsyncGenerator<Buffer> {
  for await (const bytes of archive) {
    const room = options.onArchiveBytes(bytes)
    if (room !== undefined) await room
    yield bytes
  }
}

const toFormat = (
  source: PipelineSource,
  options: PipelineOptions,
  beforeEnd: (summary: TarSummary) => Promise<void>,
): AsyncGenerator<Buffer> => {
  const { mark, memoryBytes, spool, mtimeMs, signal, onMember, onData } = options
  if (!('output' in source)) return filesToTar(source.run.entries, { mark, beforeEnd, onMember })
  const output = counted(source.output, options)
  if (options.format === 'xbstream') return checkedXbstream(output, { beforeEnd, onMember, onData, signal })
  const { run } = source
  return xbstreamToTar(output, {
    mark,
    memoryBytes,
    spool,
    memory: run.buffers,
    sizeOf: (path) => run.sizeOf(path),
    restingSizeOf: (path) => run.restingSizeOf(path),
    mtimeMs,
    beforeEnd,
    onMember,
    onData,
    signal,
  })
}

async function* counted(output: AsyncIterable<Buffer>, { onEngineBytes }: PipelineOptions): AsyncGenerator<Buffer> {
  for await (const bytes of output) {
    onEngineBytes(bytes.length)
    yield bytes
  }
}
