/**
 * Reads one file of a surveyed directory: exactly the bytes that were announced, or an error.
 *
 * A backup is a state of all files at once. A file that is another one than the survey
 * saw, that is shorter or longer, or that anyone wrote to meanwhile, has no place in it.
 *
 * Each piece is a buffer of its own: it may be kept.
 */

import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

import { BackupError } from '../errors/index.ts'
import { unreadable } from './directory-root.ts'
import { difference, identityOf, type SurveyedItem } from './directory-survey.ts'

const PIECE_BYTES = 256 * 1024

/**
 * @throws BackupError `ARCHIVE_MEMBER_CHANGED`, `ENGINE_DIRECTORY`; the signal's reason when it was told to stop
 */
export async function* readUnchanged(root: string, item: SurveyedItem, signal: AbortSignal): AsyncGenerator<Buffer> {
  signal.throwIfAborted()
  const file = await openItem(`${root}/${item.path}`)
  try {
    await checkUnchanged(file, item)
    const sizeBytes = Number(item.identity.sizeBytes)
    let readBytes = 0
    while (readBytes < sizeBytes) {
      signal.throwIfAborted()
      const wanted = Math.min(PIECE_BYTES, sizeBytes - readBytes)
      const piece = await readPiece(file, item, wanted, readBytes)
      if (piece.length === 0) throw changed(item, `it ended after ${readBytes} of ${sizeBytes} bytes`)
      readBytes += piece.length
      yield piece
    }
    const more = await readPiece(file, item, 1, sizeBytes)
    if (more.length > 0) throw changed(item, `it goes on after its ${sizeBytes} bytes`)
    await checkUnchanged(file, item)
  } finally {
    await file.close()
  }
}

export const changed = ({ path }: { readonly path: string }, how: string): BackupError =>
  new BackupError(
    'ARCHIVE_MEMBER_CHANGED',
    `${path} changed while the directory was read: ${how}`,
    { path },
    {
      hint: 'stop the server, or give a snapshot that nobody writes to',
    },
  )

const checkUnchanged = async (file: FileHandle, item: SurveyedItem): Promise<void> => {
  const how = difference(item.identity, identityOf(await file.stat({ bigint: true })))
  if (how !== undefined) throw changed(item, how)
}

const openItem = async (path: string): Promise<FileHandle> => {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
  try {
    // O_NONBLOCK: a FIFO put in the file's place must not make us wait for its writer.
    return await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    throw unreadable(path, error)
  }
}

const readPiece = async (
  file: FileHandle,
  { path }: SurveyedItem,
  bytes: number,
  position: number,
): Promise<Buffer> => {
  const piece = Buffer.allocUnsafe(bytes)
  try {
    const { bytesRead } = await file.read(piece, 0, bytes, position)
    return piece.subarray(0, bytesRead)
  } catch (error) {
    throw unreadable(path, error)
  }
}
