/**
 * The way of a backup's bytes, from the engine to the wire. Read this file first.
 *
 *     engines ─▶ archive ─▶ flow/never-quiet ─▶ encodings ─▶ flow/hold-back ─▶ the caller's socket
 *     xbstream    tar        a reserve for        wire units   nothing that ends
 *                            quiet times                       like a whole archive
 *
 * Pull-driven from the far end: nothing is read from the engine that the wire has no
 * room for. The end of the archive does not leave until `decide` has returned.
 */

import {
  type ArchiveMark,
  filesToTar,
  RefusedEnds,
  type SpoolSettings,
  type TarSummary,
  xbstreamToTar,
} from '../archive/index.ts'
import type { Encoder } from '../encodings/index.ts'
import type { EngineRun } from '../engines/index.ts'
import { HoldBack, type NeverQuietOptions, neverQuiet } from '../flow/index.ts'

export interface PipelineOptions {
  readonly mark: ArchiveMark
  readonly encoder: Encoder
  /** Raw bytes in one read of the client. */
  readonly blockBytes: number
  readonly wait: NeverQuietOptions['wait']
  /** Bytes of small files kept in memory while their size is not known. */
  readonly memoryBytes: number
  readonly spool: SpoolSettings
  /** Modification time of the members that come without one. */
  readonly mtimeMs: number
  readonly signal: AbortSignal
  /** Called once, when every member is written and the engine's output has ended. Resolves when the engine is gone. */
  settle(): Promise<void>
  /**
   * Called once, when every byte went through the encoder and only the end is left here.
   * Throws when the backup is not complete: then the end never leaves.
   */
  decide(summary: TarSummary, encodedBytes: number): void
  onMember(path: string, sizeBytes: number): void
  /** Called with every piece of the archive that goes into the encoder. */
  onArchiveBytes(bytes: number): void
  /** Called when the engine is quiet and the reserve is used; so much of it is left. */
  onQuiet(reserveBytes: number): void
}

/** What the engine hands over: its output with the first bytes already seen, or files. */
export type PipelineSource =
  | { readonly run: Extract<EngineRun, { kind: 'xbstream' }>; readonly output: AsyncIterable<Buffer> }
  | { readonly run: Extract<EngineRun, { kind: 'files' }> }

/** A deployed client gives up after 30 s in one read. Source: wire-facts, "Silence": never more than 10 s. */
const QUIET_MS = 8_000

/** Lasts for half an hour of silence with the usual block size, and for minutes with the largest. */
const RESERVE_BLOCKS = 32
const MIN_RESERVE_BYTES = 2 * 1024 * 1024

/** More than any encoding makes of one block: what completes a read wherever it began. */
const WIRE_PER_RAW = 1.5

/**
 * The bytes for the wire, in order, in bursts. What is in one burst leaves in one write:
 * only at the end of a burst is the stream where it may stop for ever.
 *
 * Returning means: the verdict was good and everything was yielded. It throws in
 * every other case, and then the caller resets the connection.
 */
export async function* toWire(source: PipelineSource, options: PipelineOptions): AsyncGenerator<Buffer[]> {
  const { encoder, blockBytes, wait } = options
  let summary: TarSummary | undefined
  let encodedBytes = 0
  let leftBytes = 0
  const ends = new RefusedEnds()
  const holdBack = new HoldBack((rawOffset) => {
    ends.forgetBelow(rawOffset)
    return summary === undefined && ends.isRefusedAt(rawOffset)
  })

  const archive = toTar(source, options, async (made) => {
    await options.settle()
    summary = made // from here on nothing leaves without a verdict
  })
  const steady = neverQuiet(archive, {
    reserveBytes: Math.max(RESERVE_BLOCKS * blockBytes, MIN_RESERVE_BYTES),
    unitBytes: blockBytes,
    quietMs: QUIET_MS,
    wait,
    onSpent: (reserveBytes) => {
      leftBytes = 0
      options.onQuiet(reserveBytes)
    },
    enough: () => leftBytes >= WIRE_PER_RAW * blockBytes,
  })
  for await (const tarBytes of steady) {
    ends.push(tarBytes)
    encodedBytes += tarBytes.length
    options.onArchiveBytes(tarBytes.length)
    for (const piece of encoder.encode(tarBytes)) {
      const burst = holdBack.push(piece)
      if (burst.length === 0) continue
      leftBytes += burst.reduce((sum, wire) => sum + wire.length, 0)
      yield burst
    }
  }
  for (const piece of encoder.end()) holdBack.push(piece)
  if (summary === undefined) throw new Error('bug: an archive ended without a summary')
  options.decide(summary, encodedBytes)
  yield holdBack.release()
}

const toTar = (
  source: PipelineSource,
  { mark, memoryBytes, spool, mtimeMs, signal, onMember }: PipelineOptions,
  beforeEnd: (summary: TarSummary) => Promise<void>,
): AsyncGenerator<Buffer> => {
  if (!('output' in source)) return filesToTar(source.run.entries, { mark, beforeEnd, onMember })
  const sizeOf = (path: string): number | undefined => source.run.sizeOf(path)
  return xbstreamToTar(source.output, { mark, memoryBytes, spool, sizeOf, mtimeMs, beforeEnd, onMember, signal })
}
