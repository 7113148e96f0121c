/**
 * A file that has its name only when it is whole.
 *
 *     FILE.part  ──write, write, …──▶  fsync ─▶ rename ─▶ fsync of the directory  ──▶  FILE
 *
 * Whatever happens before the rename leaves no FILE. A `FILE.part` that an earlier,
 * killed run left behind is replaced; should that run still be alive after all, it
 * notices at its own rename that the name is no longer its file.
 */

import { constants } from 'node:fs'
import { type FileHandle, lstat, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

import { BackupError } from '../errors/index.ts'

/** The receiver's own: nobody else reads a backup. */
const FILE_MODE = 0o600

export class PartFile {
  readonly #path: string
  readonly #partPath: string
  readonly #handle: FileHandle
  #open = true

  private constructor(path: string, partPath: string, handle: FileHandle) {
    this.#path = path
    this.#partPath = partPath
    this.#handle = handle
  }

  /** @throws BackupError `CLIENT_TARGET` when FILE exists already, `CLIENT_WRITE` when it cannot be made */
  static async create(path: string): Promise<PartFile> {
    await refuseExisting(path)
    const partPath = `${path}.part`
    try {
      await unlink(partPath).catch(ignoreMissing)
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
      return new PartFile(path, partPath, await open(partPath, flags, FILE_MODE))
    } catch (cause) {
      throw cannotWrite(partPath, cause)
    }
  }

  /** @throws BackupError `CLIENT_WRITE`, a full disk above all */
  async write(bytes: Buffer): Promise<void> {
    try {
      for (let at = 0; at < bytes.length; ) at += (await this.#handle.write(bytes, at)).bytesWritten
    } catch (cause) {
      throw cannotWrite(this.#partPath, cause)
    }
  }

  /** Makes the bytes durable, then gives the file its name. */
  async commit(): Promise<void> {
    try {
      await this.#handle.sync()
      const [ours, named] = [await this.#handle.stat(), await lstat(this.#partPath).catch(ignoreMissing)]
      if (named?.ino !== ours.ino || named.dev !== ours.dev) {
        throw new BackupError('CLIENT_TARGET', `${this.#partPath} was replaced by another run`, {
          path: this.#partPath,
        })
      }
      await refuseExisting(this.#path)
      await rename(this.#partPath, this.#path)
      this.#open = false
      await this.#handle.close()
      await syncDirectory(dirname(this.#path))
    } catch (cause) {
      throw cause instanceof BackupError ? cause : cannotWrite(this.#path, cause)
    }
  }

  /** Removes what was written; does nothing after a commit. Never throws: the reason for calling it counts. */
  async discard(): Promise<void> {
    if (!this.#open) return
    this.#open = false
    const [ours, named] = await Promise.all([
      this.#handle.stat().catch(() => undefined),
      lstat(this.#partPath).catch(() => undefined),
    ])
    await this.#handle.close().catch(() => undefined)
    if (ours !== undefined && named?.ino === ours.ino) await unlink(this.#partPath).catch(() => undefined)
  }
}

/** Makes a rename in a directory survive a power cut. */
export const syncDirectory = async (path: string): Promise<void> => {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const refuseExisting = async (path: string): Promise<void> => {
  if ((await lstat(path).catch(ignoreMissing)) === undefined) return
  throw new BackupError(
    'CLIENT_TARGET',
    `${path} exists already`,
    { path },
    { hint: 'name another file, or move it away' },
  )
}

const ignoreMissing = (error: NodeJS.ErrnoException): undefined => {
  if (error.code !== 'ENOENT') throw error
  return undefined
}

const cannotWrite = (path: string, cause: unknown): BackupError => {
  const errno = (cause as NodeJS.ErrnoException).code ?? 'unknown'
  const hint = errno === 'ENOSPC' || errno === 'EDQUOT' ? 'free some space, or name a file on another disk' : undefined
  const options = hint === undefined ? { cause } : { cause, hint }
  return new BackupError('CLIENT_WRITE', `cannot write ${path}: ${errno}`, { path, errno }, options)
}
