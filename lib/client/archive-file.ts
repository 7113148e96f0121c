/**
 * Reads an archive from a file, a large piece at a time.
 *
 * The file is opened once and read to its end as it is then; nothing is followed,
 * written or locked.
 */

import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'

import { BackupError } from '../errors/index.ts'

/** Large enough that the disk, not the calls, sets the pace. */
const READ_BYTES = 1024 * 1024

export interface ArchiveFile {
  readonly path: string
  readonly sizeBytes: number
  /** The bytes; throws `CLI_FILE` when the disk gives an error. */
  read(): AsyncGenerator<Buffer>
}

/** @throws BackupError `CLI_FILE` when there is no such file, or it is not one */
export const openArchiveFile = async (path: string, signal?: AbortSignal): Promise<ArchiveFile> => {
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    throw unreadable(path, cause)
  })
  if (!found.isFile()) throw new BackupError('CLI_FILE', `${path} is not a file`, { path })
  return { path, sizeBytes: found.size, read: () => read(path, signal) }
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
