/**
 * Turns an xbstream into a tar archive, in one pass and with bounded memory.
 *
 *     source ─▶ XbstreamReader ─▶ TarAssembly ─▶ TarWriter ─▶ yielded
 *                                   │    ▲
 *                                   ▼    │
 *                                 memory, spool
 *
 * Driven from its end: nothing is read from the source while nobody asks for bytes.
 * The end of the archive is made only after `beforeEnd` has returned.
 */

import { CheckpointsSeen } from './checkpoints-seen.ts'
import { MetadataSeen } from './metadata-seen.ts'
import { Spool, type SpoolSettings } from './spool.ts'
import { TarAssembly, type TarAssemblyOptions } from './tar-assembly.ts'
import { TarWriter } from './tar-writer.ts'
import type { ArchiveMark, ReusedMemory, TarSummary } from './types.ts'
import { untilAborted } from './until-aborted.ts'
import { XbstreamReader } from './xbstream-reader.ts'

export interface XbstreamToTarOptions extends TarAssemblyOptions {
  readonly mark: ArchiveMark
  /** Bound on the bytes of files that wait in memory. One file takes a quarter of it at most. */
  readonly memoryBytes: number
  /** Where files wait that are too large for memory and of unknown size. Needs room for the redo log at least. */
  readonly spool: SpoolSettings
  /**
   * Where the chunks of the source come from, and what small files are put together in. What of a chunk goes no further is
   * given back to it; what is yielded is to be given back by the consumer.
   */
  readonly memory?: ReusedMemory | undefined
  /** Modification time of every member: an xbstream carries none. */
  readonly mtimeMs: number
  /** Told of every piece of a file, as it comes out of the xbstream. */
  onData?: ((path: string, bytes: number) => void) | undefined
  /** Awaited when the last member's last byte was yielded. When it throws, the archive never gets its end. */
  beforeEnd(summary: TarSummary): Promise<void>
  readonly signal?: AbortSignal | undefined
}

/** No more than this waits in the writer, apart from what the last file has just made ready. */
const ENOUGH_BYTES = 256 * 1024

/**
 * The archive's bytes, in order.
 *
 * Returning means that the source ended as an xbstream must, and that `beforeEnd` agreed. In every other case it
 * throws; the spool and the source are given up then, as they are when the consumer stops early.
 *
 * @throws BackupError `XBSTREAM_*`, `ARCHIVE_PATH_UNSAFE`, `ARCHIVE_MEMBER_LONGER`, `ARCHIVE_SPOOL_FULL`,
 *   `ARCHIVE_SPOOL_IO`; the signal's reason; whatever `source` or `beforeEnd` throw
 */
export async function* xbstreamToTar(
  source: AsyncIterable<Buffer>,
  options: XbstreamToTarOptions,
): AsyncGenerator<Buffer> {
  const { signal, memory } = options
  const reader = new XbstreamReader()
  const writer = new TarWriter(memory)
  const spool = new Spool(options.spool)
  const assembly = new TarAssembly(writer, spool, options)
  const metadata = new MetadataSeen()
  const checkpoints = new CheckpointsSeen()

  const giveUp = async (): Promise<void> => {
    writer.destroy()
    await spool.close()
  }
  // While the consumer is busy elsewhere nothing here runs; the disk is given back without it.
  const onAbort = () => void giveUp().catch(() => {})
  signal?.addEventListener('abort', onAbort)
  try {
    writer.begin(options.mark)
    yield* writer.ready()
    for await (const chunk of untilAborted(source, signal)) {
      const viewBytesBefore = assembly.viewBytes
      for (const event of reader.pushWhole(chunk)) {
        let more: AsyncGenerator<Buffer> | undefined
        if (event.type === 'file') {
          options.onData?.(event.path, event.bytes.length)
          checkpoints.take(event.path, event.bytes)
          metadata.see(event.path)
          more = assembly.takeWhole(event.path, event.bytes)
        } else if (event.type === 'data') {
          options.onData?.(event.path, event.bytes.length)
          checkpoints.take(event.path, event.bytes)
          more = assembly.take(event.path, event.bytes)
        } else if (event.type === 'hole') more = assembly.takeHole(event.path, event.zeroBytes)
        else {
          metadata.see(event.path)
          more = assembly.end(event.path)
        }
        // Many small files leave together: a turn in each room behind this one costs more than they do.
        if (more !== undefined) yield* more
        if (writer.readyBytes >= ENOUGH_BYTES) yield* writer.ready()
      }
      const rest = assembly.settle()
      if (rest !== undefined) yield* rest
      yield* writer.ready()
      // Headers were read, small files copied, and what waits on the disk was written. At worst this is too little: among the
      // views may be some that were kept before.
      const viewBytes = assembly.viewBytes - viewBytesBefore
      if (viewBytes < chunk.length) memory?.takeBack([chunk.subarray(viewBytes)])
    }
    reader.end()
    signal?.throwIfAborted()
    await options.beforeEnd({
      members: writer.members,
      archiveBytes: writer.archiveBytes,
      contentBytes: writer.contentBytes,
      xbstreamBytes: reader.bytesRead,
      padded: assembly.padded,
      metadata: metadata.found,
      checkpoints: checkpoints.found,
      peakMemoryBytes: assembly.peakMemoryBytes,
      peakSpoolBytes: spool.peakBytes,
      spooledBytes: spool.writtenBytes,
    })
    signal?.throwIfAborted()
    writer.finish()
    yield* writer.ready()
  } catch (error) {
    // What breaks because the abort took it away is not what went wrong.
    throw signal?.aborted === true ? signal.reason : error
  } finally {
    signal?.removeEventListener('abort', onAbort)
    await giveUp()
  }
}
