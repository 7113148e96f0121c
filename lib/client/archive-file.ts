/**
 * Reads an archive from a file, a large piece at a time.
 *
 * It is read to its end as it is then; nothing is followed, written or locked. Which format
 * it has, say its first bytes.
 */

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
