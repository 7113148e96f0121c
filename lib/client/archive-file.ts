/**
 * Reads an archive from a file, a large piece at a time.
 *
 * It is read to its end as it is then; nothing is followed, written or locked. Which format
 * it has, say its first bytes.
 */

import { createHash } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

import { XBSTREAM_MAGIC } from '../archive/index.ts'
import { BackupError } from '../errors/index.ts'
import type { ArchiveFormat } from './request.ts'

/** Large enough that the disk, not the calls, sets the pace. */
const READ_BYTES = 1024 * 1024

export interface ArchiveFile {
  readonly path: string
  readonly sizeBytes: number
  /** Whatever does not begin like an xbstream is looked at as a tar. */
  readonly format: ArchiveFormat
  /** The bytes; throws `CLI_FILE` when the disk gives an error. */
  read(): AsyncGenerator<Buffer>
}

/** @throws BackupError `CLI_FILE` when there is no such file, or it is not one */
export const openArchiveFile = async (path: string, signal?: AbortSignal): Promise<ArchiveFile> => {
  let handle: FileHandle | undefined
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK) // a pipe would wait for somebody to write
    const found = await handle.stat()
    if (!found.isFile()) throw new BackupError('CLI_FILE', `${path} is not a file`, { path })
    const start = Buffer.alloc(XBSTREAM_MAGIC.length)
    await handle.read(start, 0, start.length, 0)
    const format = start.equals(XBSTREAM_MAGIC) ? 'xbstream' : 'tar'
    return { path, sizeBytes: found.size, format, read: () => read(path, signal) }
  } catch (cause) {
    throw cause instanceof BackupError ? cause : unreadable(path, cause as NodeJS.ErrnoException)
  } finally {
    await handle?.close()
  }
}

/** An archive that is read to its end, and says then which digest it had. */
export class DigestedFile {
  readonly path: string
  readonly #file: ArchiveFile
  readonly #onBytes: (bytes: number) => void
  #digest: string | undefined

  /** @param onBytes told of every piece that was read */
  constructor(file: ArchiveFile, onBytes: (bytes: number) => void) {
    this.path = file.path
    this.#file = file
    this.#onBytes = onBytes
  }

  async *read(): AsyncGenerator<Buffer> {
    const digest = createHash('sha256')
    for await (const chunk of this.#file.read()) {
      digest.update(chunk)
      this.#onBytes(chunk.length)
      yield chunk
    }
    this.#digest = digest.digest('hex')
  }

  /** Hexadecimal. Asked when it was read to its end. */
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
