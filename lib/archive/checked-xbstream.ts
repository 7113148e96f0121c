/**
 * Passes an xbstream on as it is, and looks at it as closely as if it were turned into a tar.
 *
 *     source ─▶ XbstreamReader: headers, checksums, offsets, names, every file closed ─▶ the same bytes
 *
 * A chunk goes on only after everything in it was found right. Keeps nothing; yields nothing of its own.
 */

import { CheckpointsSeen } from './checkpoints-seen.ts'
import { MetadataSeen } from './metadata-seen.ts'
import type { TarSummary } from './types.ts'
import { untilAborted } from './until-aborted.ts'
import { XbstreamReader } from './xbstream-reader.ts'

export interface CheckedXbstreamOptions {
  /** Awaited when the source has ended as an xbstream must. When it throws, so does the stream. */
  beforeEnd(summary: TarSummary): Promise<void>
  /** Told when the last byte of a file has come. */
  onMember?: ((path: string, sizeBytes: number) => void) | undefined
  /** Told of every piece of a file. */
  onData?: ((path: string, bytes: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** @throws BackupError `XBSTREAM_*`, `ARCHIVE_PATH_UNSAFE`; the signal's reason; whatever `source` or `beforeEnd` throw */
export async function* checkedXbstream(
  source: AsyncIterable<Buffer>,
  { beforeEnd, onMember, onData, signal }: CheckedXbstreamOptions,
): AsyncGenerator<Buffer> {
  const reader = new XbstreamReader()
  const metadata = new MetadataSeen()
  const checkpoints = new CheckpointsSeen()
  const openBytes = new Map<string, number>()
  let contentBytes = 0
  const grow = (path: string, bytes: number): void => {
    openBytes.set(path, (openBytes.get(path) ?? 0) + bytes)
    contentBytes += bytes
    onData?.(path, bytes)
  }
  for await (const chunk of untilAborted(source, signal)) {
    for (const event of reader.pushWhole(chunk)) {
      if (event.type === 'file') {
        const { path, bytes } = event
        contentBytes += bytes.length
        onData?.(path, bytes.length)
        checkpoints.take(path, bytes)
        metadata.see(path)
        onMember?.(path, bytes.length)
      } else if (event.type === 'data') {
        grow(event.path, event.bytes.length)
        checkpoints.take(event.path, event.bytes)
      } else if (event.type === 'hole') grow(event.path, event.zeroBytes)
      else {
        metadata.see(event.path)
        onMember?.(event.path, openBytes.get(event.path) ?? 0)
        openBytes.delete(event.path)
      }
    }
    yield chunk
  }
  reader.end()
  signal?.throwIfAborted()
  await beforeEnd({
    members: reader.files,
    archiveBytes: reader.bytesRead,
    contentBytes,
    xbstreamBytes: reader.bytesRead,
    padded: [],
    metadata: metadata.found,
    checkpoints: checkpoints.found,
    peakMemoryBytes: 0,
    peakSpoolBytes: 0,
    spooledBytes: 0,
  })
  signal?.throwIfAborted() // a job that was stopped meanwhile must not look like one that ended
}
