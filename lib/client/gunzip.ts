/**
 * Undoes gzip while it arrives, in this process: no program is needed for the commonest format.
 *
 * Stricter than `gzip -d`: whatever stands behind the compressed bytes is refused, zeros
 * too. Several members behind one another are one, as RFC 1952 says; whether what they
 * hold is one archive is for its proof to see.
 */

import { createGunzip, type Gunzip } from 'node:zlib'

import { BackupError } from '../errors/index.ts'

const CHUNK_BYTES = 64 * 1024

/** @throws BackupError `COMPRESS_CORRUPT`; what the source throws */
export async function* gunzipped(packed: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES })
  gunzip.on('error', () => undefined) // told to whoever reads
  const iterator = packed[Symbol.asyncIterator]()
  let isFed = false
  const feeding = feed(iterator, gunzip)
    .catch((error: unknown) => {
      gunzip.destroy(error as Error)
      throw error
    })
    .finally(() => {
      isFed = true
    })
  feeding.catch(() => undefined) // seen below
  try {
    for await (const bytes of gunzip) yield bytes as Buffer
    const fedBytes = await feeding
    if (fedBytes === 0) throw corrupt('there are none')
    if (gunzip.bytesWritten < fedBytes) throw corrupt(`${fedBytes - gunzip.bytesWritten} stand behind their end`)
  } catch (cause) {
    throw isOfZlib(cause) ? corrupt((cause as Error).message, cause) : cause
  } finally {
    gunzip.destroy()
    // Not waited for: a source in the middle of something stops when it has it.
    if (!isFed) Promise.resolve(iterator.return?.()).catch(() => undefined)
  }
}

/** @returns how many bytes the source had */
const feed = async (iterator: AsyncIterator<Buffer>, gunzip: Gunzip): Promise<number> => {
  let [fedBytes, isOver] = [0, false]
  const over = new Promise<void>((resolve) => {
    gunzip.once('end', resolve).once('close', resolve)
  }).then(() => {
    isOver = true
  })
  for (;;) {
    const next = await iterator.next()
    if (next.done === true) {
      gunzip.end()
      return fedBytes
    }
    fedBytes += next.value.length
    // A write behind the end of the compressed bytes is never answered.
    await Promise.race([written(gunzip, next.value), over])
    if (gunzip.errored || (isOver && gunzip.bytesWritten < fedBytes)) return fedBytes // whoever reads sees it
  }
}

const written = (gunzip: Gunzip, bytes: Buffer): Promise<void> =>
  new Promise((resolve) => {
    gunzip.write(bytes, () => resolve())
  })

const isOfZlib = (cause: unknown): boolean => {
  const { code = '' } = cause as NodeJS.ErrnoException
  return code.startsWith('Z_')
}

const corrupt = (why: string, cause?: unknown): BackupError =>
  new BackupError('COMPRESS_CORRUPT', `the compressed bytes (gzip) cannot be unpacked: ${why}`, {}, { cause })
