/**
 * Reads an archive from a file, a large piece at a time, and undoes its compression.
 *
 *     FILE ─▶ what do its first bytes say? ─┬▶ the archive
 *                                           └▶ gzip, zstd, lz4, xz ─▶ decompressor ─▶ the archive
 *
 * It is read to its end as it is then; nothing is followed, written or locked. Which
 * compression and which format it has, say the first bytes alone, never its name.
 */

import { createHash } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

import { XBSTREAM_MAGIC } from '../archive/index.ts'
import type { Packing } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { GrowthLimit } from './growth-limit.ts'
import { type PackedFacts, packingOfBytes } from './packed-file.ts'
import type { ArchiveFormat } from './request.ts'
import { SizeLimit } from './size-limit.ts'
import { unpacked } from './unpack.ts'

/** Large enough that the disk, not the calls, sets the pace. */
const READ_BYTES = 1024 * 1024

/** More than any magic has. */
const FIRST_BYTES = 8

export interface ArchiveFile {
  readonly path: string
  /** Of the file. */
  readonly sizeBytes: number
  /** Whatever does not begin like an xbstream is looked at as a tar. */
  readonly format: ArchiveFormat
  readonly packing: Packing | undefined
  /**
   * The bytes of the archive, once.
   *
   * @param knownBytes how many there are, where that is known: a compressed file must not give more
   * @throws BackupError `CLI_FILE` when the disk gives an error; `COMPRESS_*`
   */
  read(knownBytes?: number): AsyncGenerator<Buffer>
  /** Bytes of the file that were read so far. */
  bytesRead(): number
  /** Of a compressed file that was read to its end. */
  packed(): PackedFacts | undefined
}

/** @throws BackupError `CLI_FILE` when there is no such file, or it is not one; `COMPRESS_*` */
export const openArchiveFile = async (path: string, signal?: AbortSignal): Promise<ArchiveFile> => {
  const { sizeBytes, first } = await look(path)
  const packing = packingOfBytes(first)
  if (packing === undefined) {
    let bytesRead = 0
    return {
      ...{ path, sizeBytes, packing, format: formatOf(first) },
      read: () => counted(read(path, signal), (bytes) => (bytesRead += bytes.length)),
      bytesRead: () => bytesRead,
      packed: () => undefined,
    }
  }
  return openPacked(path, sizeBytes, packing, signal)
}

const openPacked = async (
  path: string,
  sizeBytes: number,
  packing: Packing,
  signal = new AbortController().signal,
): Promise<ArchiveFile> => {
  const sha256 = createHash('sha256')
  let [bytesRead, digest] = [0, '']
  const byHand = `if it is mostly empty pages, decompress it by hand: ${packing} -dc ${path} > ARCHIVE`
  return {
    ...{ path, sizeBytes, packing, format: formatOf(await firstUnpacked(path, packing, signal)) },
    read: (knownBytes) => {
      const file = counted(read(path, signal), (bytes) => {
        bytesRead += bytes.length
        sha256.update(bytes)
      })
      return unpacked(file, packing, new GrowthLimit(knownBytes, byHand), signal)
    },
    bytesRead: () => bytesRead,
    packed: () => {
      digest ||= sha256.digest('hex')
      return { packing, bytes: bytesRead, sha256: digest }
    },
  }
}

/** Decompresses as much as tells the format, and stops. */
const firstUnpacked = async (path: string, packing: Packing, signal: AbortSignal): Promise<Buffer> => {
  let first = Buffer.alloc(0)
  for await (const bytes of unpacked(read(path, signal), packing, new GrowthLimit(undefined, ''), signal)) {
    first = Buffer.concat([first, bytes])
    if (first.length >= FIRST_BYTES) break
  }
  return first
}

const formatOf = (first: Buffer): ArchiveFormat =>
  first.subarray(0, XBSTREAM_MAGIC.length).equals(XBSTREAM_MAGIC) ? 'xbstream' : 'tar'

const look = async (path: string): Promise<{ readonly sizeBytes: number; readonly first: Buffer }> => {
  let handle: FileHandle | undefined
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK) // a pipe would wait for somebody to write
    const found = await handle.stat()
    if (!found.isFile()) throw new BackupError('CLI_FILE', `${path} is not a file`, { path })
    const first = Buffer.alloc(FIRST_BYTES)
    await handle.read(first, 0, first.length, 0)
    return { sizeBytes: found.size, first }
  } catch (cause) {
    throw cause instanceof BackupError ? cause : unreadable(path, cause as NodeJS.ErrnoException)
  } finally {
    await handle?.close()
  }
}

async function* counted(bytes: AsyncIterable<Buffer>, count: (bytes: Buffer) => void): AsyncGenerator<Buffer> {
  for await (const chunk of bytes) {
    count(chunk)
    yield chunk
  }
}

/** How much an archive may be. */
export interface ArchiveBounds {
  /** How large it is, where that is known. */
  readonly knownBytes?: number | undefined
  /** How large it may be at most. */
  readonly maxBytes?: number | undefined
}

/** @throws BackupError as `ArchiveFile.read`; `CLIENT_MAX_BYTES` */
export const boundedRead = (file: ArchiveFile, { knownBytes, maxBytes }: ArchiveBounds): AsyncGenerator<Buffer> =>
  new SizeLimit(maxBytes, `archive in ${file.path}`).through(file.read(knownBytes))

/** An archive that is read to its end, and says then which digest it had. */
export class DigestedFile {
  readonly path: string
  readonly #file: ArchiveFile
  readonly #bounds: ArchiveBounds
  readonly #onBytes: (fileBytes: number) => void
  #digest: string | undefined

  /** @param onBytes told with every piece how much of the file was read */
  constructor(file: ArchiveFile, bounds: ArchiveBounds, onBytes: (fileBytes: number) => void) {
    this.path = file.path
    this.#file = file
    this.#bounds = bounds
    this.#onBytes = onBytes
  }

  async *read(): AsyncGenerator<Buffer> {
    const digest = createHash('sha256')
    for await (const chunk of boundedRead(this.#file, this.#bounds)) {
      digest.update(chunk)
      this.#onBytes(this.#file.bytesRead())
      yield chunk
    }
    this.#digest = digest.digest('hex')
  }

  /** Of a compressed file. Asked when it was read to its end. */
  get packed(): PackedFacts | undefined {
    return this.#file.packed()
  }

  /** Of the archive, hexadecimal. Asked when it was read to its end. */
  get sha256(): string {
    if (this.#digest === undefined) throw new Error(`bug: the digest of ${this.path} before its end`)
    return this.#digest
  }
}

async function* read(path: string, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  const stream = createReadStream(path, { highWaterMark: READ_BYTES, ...(signal === undefined ? {} : { signal }) })
  try {
    for await (const bytes of stream) yield bytes as Buffer
  } catch (cause) {
    if (signal?.reason instanceof BackupError) throw signal.reason
    throw unreadable(path, cause as NodeJS.ErrnoException)
  }
}

const unreadable = (path: string, cause: NodeJS.ErrnoException): BackupError =>
  new BackupError('CLI_FILE', `cannot read ${path}: ${cause.code ?? cause.message}`, { path }, { cause })
