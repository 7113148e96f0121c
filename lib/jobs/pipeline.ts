/**
 * The way of a backup's bytes, from the engine to the wire. Read this file first.
 *
 *     engines ─▶ archive ─▶ encodings ─▶ flow/hold-back ─▶ the caller's socket
 *     xbstream    tar        wire units   nothing that ends like a whole archive
 *
 * Pull-driven from the far end: nothing is read from the engine that the wire has no
 * room for. The end of the archive does not exist until `decide` has returned.
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
import { HoldBack } from '../flow/index.ts'

export interface PipelineOptions {
  readonly mark: ArchiveMark
  readonly encoder: Encoder
  /** Bytes of small files kept in memory while their size is not known. */
  readonly memoryBytes: number
  readonly spool: SpoolSettings
  /** Modification time of the members that come without one. */
  readonly mtimeMs: number
  readonly signal: AbortSignal
  /**
   * Called once, when every member is written and the engine's output has ended.
   * Throws when the backup is not complete: then the end of the archive is never made.
   */
  decide(summary: TarSummary, encodedBytes: number): Promise<void>
  onMember(path: string, sizeBytes: number): void
  /** Called with every piece of the archive that goes into the encoder. */
  onArchiveBytes(bytes: number): void
}

/** What the engine hands over: its output with the first bytes already seen, or files. */
export type PipelineSource =
  | { readonly run: Extract<EngineRun, { kind: 'xbstream' }>; readonly output: AsyncIterable<Buffer> }
  | { readonly run: Extract<EngineRun, { kind: 'files' }> }

/**
 * The bytes for the wire, in order.
 *
 * Returning means: the verdict was good and everything was yielded. It throws in
 * every other case, and then the caller resets the connection.
 */
export async function* toWire(source: PipelineSource, options: PipelineOptions): AsyncGenerator<Buffer> {
  const { encoder } = options
  const ends = new RefusedEnds()
  const holdBack = new HoldBack((rawOffset) => {
    ends.forgetBelow(rawOffset)
    return ends.isRefusedAt(rawOffset)
  })
  let encodedBytes = 0

  const archive = toTar(source, options, (summary) => options.decide(summary, encodedBytes))
  for await (const tarBytes of archive) {
    ends.push(tarBytes)
    encodedBytes += tarBytes.length
    options.onArchiveBytes(tarBytes.length)
    for (const piece of encoder.encode(tarBytes)) yield* holdBack.push(piece)
  }
  // Only a good verdict gets here: without one, `archive` throws before its end.
  for (const piece of encoder.end()) yield* holdBack.push(piece)
  yield* holdBack.release()
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
