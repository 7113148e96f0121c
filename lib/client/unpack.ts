/**
 * Undoes a compression while the bytes arrive: gzip in this process, everything else by the program of its name.
 *
 *     compressed ─▶ zlib, or zstd | lz4 | xz -dc ─▶ the archive
 *
 * An end of the compressed bytes before their own end is an error, and so is a single
 * changed bit that the format has a checksum for. What comes out is bounded.
 */

import { decompressorFailure, type Packing, startDecompressor } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import type { GrowthLimit } from './growth-limit.ts'
import { gunzipped } from './gunzip.ts'

/**
 * @param packed to be read once
 * @throws BackupError `COMPRESS_CORRUPT`, `COMPRESS_LIMIT`, `COMPRESS_NOT_FOUND`, `ENGINE_UNUSABLE`; what the source
 *   throws; the signal's reason
 */
export async function* unpacked(
  packed: AsyncIterable<Buffer>,
  packing: Packing,
  limit: GrowthLimit,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  for await (const bytes of decompressed(counted(packed, limit), packing, signal)) {
    limit.cameOut(bytes.length)
    yield bytes
  }
  if (limit.packedBytes === 0) throw new BackupError('COMPRESS_CORRUPT', `expected ${packing}, found no bytes`)
}

async function* decompressed(
  packed: AsyncIterable<Buffer>,
  packing: Packing,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  if (packing === 'gzip') {
    yield* gunzipped(packed)
    return
  }
  const program = await startDecompressor(packing, signal)
  yield* program.through(packed)
  const end = await program.settled
  if (end.exitCode !== 0) throw decompressorFailure(end)
}

async function* counted(packed: AsyncIterable<Buffer>, limit: GrowthLimit): AsyncGenerator<Buffer> {
  for await (const bytes of packed) {
    limit.cameIn(bytes.length)
    yield bytes
  }
}
