/**
 * A file that has its name only when it is whole.
 *
 *     FILE.part  ──write, write, …──▶  seal: fsync  ──▶  commit: link, or rename ─▶ fsync of the directory  ──▶  FILE
 *
 * Whatever happens before that leaves no FILE, and neither does a commit that throws. A link, unlike a rename, replaces
 * nothing: a FILE of somebody else that appears at the last moment stays.
 * A `FILE.part` that an earlier, killed run left behind is replaced; should that run still be
 * alive after all, it notices before its own commit that the name is no longer its file.
 */

import { constants, type Stats } from 'node:fs'
import { type FileHandle, link, lstat, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

import { GatheredWrites } from '../archive/index.ts'
import { BackupError } from '../errors/index.ts'

/** The receiver's own: nobody else reads a backup. */
const FILE_MODE = 0o600

export interface PartFileOptions {
  /** Whether a plain file of that name may be replaced, at the rename. */
  readonly replace?: boolean
}

/** Which name the file has now. */
type State = 'part' | 'sealed' | 'renamed' | 'committed' | 'gone'

export class PartFile {
  readonly #path: string
  readonly #partPath: string
  readonly #handle: FileHandle
  readonly #identity: Stats
  readonly #replace: boolean
  readonly #writes = new GatheredWrites((bytes) => this.#writeAll(bytes))
  #state: State = 'part'

  private constructor(path: string, partPath: string, handle: FileHandle, identity: Stats, replace: boolean) {
    this.#path = path
    this.#partPath = partPath
    this.#handle = handle
    this.#identity = identity
    this.#replace = replace
  }

  /** @throws BackupError `CLIENT_TARGET` when FILE exists already, `CLIENT_WRITE` when it cannot be made */
  static async create(path: string, { replace = false }: PartFileOptions = {}): Promise<PartFile> {
    const partPath = `${path}.part`
    try {
      await refuseExisting(path, replace)
      await unlink(partPath).catch(ignoreMissing)
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
      const handle = await open(partPath, flags, FILE_MODE)
      const file = new PartFile(path, partPath, handle, await handle.stat(), replace)
      await file.#probe()
      return file
    } catch (cause) {
      throw cause instanceof BackupError ? cause : cannotWrite(partPath, cause)
    }
  }

  /** Whether the disk takes anything at all: some say so only to who writes. Leaves the file empty, or nothing. */
  async #probe(): Promise<void> {
    try {
      await probe(this.#handle)
    } catch (error) {
      await this.discard()
      throw error
    }
  }

  /**
   * The bytes may still wait here when it has returned, copied, and what is wrong with them may be thrown by the next call.
   *
   * @throws BackupError `CLIENT_WRITE`, a full disk above all
   */
  write(bytes: Buffer): Promise<void> {
    return this.#writes.write(bytes)
  }

  async #writeAll(bytes: Buffer): Promise<void> {
    try {
      for (let at = 0; at < bytes.length; ) at += (await this.#handle.write(bytes, at)).bytesWritten
    } catch (cause) {
      throw cannotWrite(this.#partPath, cause)
    }
  }

  /** Makes the bytes durable, and checks that the file can be given its name. */
  async seal(): Promise<void> {
    try {
      await this.#writes.flush()
      await this.#handle.sync()
      if (!(await this.#isAt(this.#partPath))) {
        throw new BackupError('CLIENT_TARGET', `${this.#partPath} was replaced by another run`, {
          path: this.#partPath,
        })
      }
      await refuseExisting(this.#path, this.#replace)
      this.#state = 'sealed'
    } catch (cause) {
      throw cause instanceof BackupError ? cause : cannotWrite(this.#path, cause)
    }
  }

  /** Gives the file its name, so that the name survives a power cut too. Seals it first where that is not done. */
  async commit(): Promise<void> {
    if (this.#state === 'part') await this.seal()
    try {
      await this.#handle.close()
      await (this.#replace ? rename(this.#partPath, this.#path) : renameToFree(this.#partPath, this.#path))
      this.#state = 'renamed'
      await syncDirectory(dirname(this.#path))
      this.#state = 'committed'
    } catch (cause) {
      throw cause instanceof BackupError ? cause : cannotWrite(this.#path, cause)
    }
  }

  /** Removes what was written; does nothing after a commit. Never throws: the reason for calling it counts. */
  async discard(): Promise<void> {
    if (this.#state !== 'committed') await this.withdraw()
  }

  /** Removes what was written, after a commit too. Never throws. */
  async withdraw(): Promise<void> {
    const state = this.#state
    if (state === 'gone') return
    this.#state = 'gone'
    const path = state === 'renamed' || state === 'committed' ? this.#path : this.#partPath
    if (await this.#isAt(path).catch(() => false)) await unlink(path).catch(() => undefined)
    await this.#handle.close().catch(() => undefined) // it may be closed already
  }

  /** Whether what lies there is our file, and not another run's. */
  async #isAt(path: string): Promise<boolean> {
    const found = await lstat(path).catch(ignoreMissing)
    return found?.ino === this.#identity.ino && found.dev === this.#identity.dev
  }
}

/** The smallest backup is larger, and so is what a file system keeps for a file's own block. */
const PROBE_BYTES = 64 * 1024

/** Writes a little into an empty file and takes it away again. Rejects as the disk does. */
export const probe = async (handle: FileHandle): Promise<void> => {
  const zeros = Buffer.alloc(PROBE_BYTES)
  for (let at = 0; at < zeros.length; ) at += (await handle.write(zeros, at, zeros.length - at, at)).bytesWritten
  await handle.sync() // a network file system says it only here
  await handle.truncate(0)
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

/** What a file system without hard links, or a network one that hides them, says to a link. Source: link(2). */
const LINKLESS: readonly unknown[] = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EACCES']

/** A rename that replaces nothing. Where there are no links, only a last look stands before it. */
const renameToFree = async (from: string, to: string): Promise<void> => {
  try {
    await link(from, to)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') throw existsAlready(to)
    if (!LINKLESS.includes((cause as NodeJS.ErrnoException).code)) throw cause
    await refuseExisting(to, false)
    return await rename(from, to)
  }
  await unlink(from).catch(async (cause: unknown) => {
    await unlink(to)
    throw cause
  })
}

const refuseExisting = async (path: string, replace: boolean): Promise<void> => {
  const found = await lstat(path).catch(ignoreMissing)
  if (found === undefined || (replace && found.isFile())) return
  throw existsAlready(path)
}

const existsAlready = (path: string): BackupError =>
  new BackupError('CLIENT_TARGET', `${path} exists already`, { path }, { hint: 'name another file, or move it away' })

const ignoreMissing = (error: NodeJS.ErrnoException): undefined => {
  if (error.code !== 'ENOENT') throw error
  return undefined
}

export const cannotWrite = (path: string, cause: unknown): BackupError => {
  const errno = (cause as NodeJS.ErrnoException).code ?? 'unknown'
  const hint = errno === 'ENOSPC' || errno === 'EDQUOT' ? 'free some space, or name a file on another disk' : undefined
  const options = hint === undefined ? { cause } : { cause, hint }
  return new BackupError('CLIENT_WRITE', `cannot write ${path}: ${errno}`, { path, errno }, options)
}
