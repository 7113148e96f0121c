/**
 * A directory that has its name only when what is in it is whole.
 *
 *     DIR.part  ──files──▶  rename ─▶ fsync of the parent  ──▶  DIR
 *
 * DIR itself must not exist, or be empty. Whatever happens before the rename leaves
 * DIR as it was.
 */

import { lstat, mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'

import { BackupError } from '../errors/index.ts'
import { cannotWrite, probe, syncDirectory } from './part-file.ts'

/** A data directory is nobody else's business. */
const DIRECTORY_MODE = 0o700

export class StagingDirectory {
  /** Where to put the files. */
  readonly path: string
  readonly #target: string

  private constructor(target: string, path: string) {
    this.#target = target
    this.path = path
  }

  /**
   * @throws BackupError `CLIENT_TARGET` when DIR holds something, is a mount point, or DIR.part is in the way;
   *   `CLIENT_WRITE` when the disk takes nothing
   */
  static async create(directory: string): Promise<StagingDirectory> {
    const target = resolve(directory)
    await refuseOccupied(target)
    const path = `${target}.part`
    try {
      await mkdir(path, { mode: DIRECTORY_MODE })
    } catch (cause) {
      const errno = (cause as NodeJS.ErrnoException).code ?? 'unknown'
      const hint =
        errno === 'EEXIST'
          ? `an earlier run left it: remove ${path} first, unless that run is still at work`
          : 'can you write to the directory above it?'
      throw new BackupError('CLIENT_TARGET', `cannot make ${path}: ${errno}`, { path, errno }, { cause, hint })
    }
    const staging = new StagingDirectory(target, path)
    await staging.#probe()
    return staging
  }

  /** Whether the disk takes anything at all. Leaves the directory empty, or nothing. */
  async #probe(): Promise<void> {
    const path = join(this.path, 'probe')
    try {
      const handle = await open(path, 'wx', 0o600)
      await probe(handle).finally(() => handle.close())
      await unlink(path)
    } catch (cause) {
      await this.discard()
      throw cannotWrite(path, cause)
    }
  }

  /** Gives the directory its name. */
  async commit(): Promise<void> {
    try {
      await rename(this.path, this.#target) // takes the place of an empty directory too
      await syncDirectory(dirname(this.#target))
    } catch (cause) {
      const errno = (cause as NodeJS.ErrnoException).code ?? 'unknown'
      throw new BackupError(
        'CLIENT_TARGET',
        `cannot rename ${this.path} to ${this.#target}: ${errno}`,
        { errno },
        { cause },
      )
    }
  }

  /** Removes everything that was put there. Never throws: the reason for calling it counts. */
  async discard(): Promise<void> {
    await rm(this.path, { recursive: true, force: true }).catch(() => undefined)
  }
}

const refuseOccupied = async (target: string): Promise<void> => {
  const found = await lstat(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw new BackupError('CLIENT_TARGET', `cannot look at ${target}: ${error.code}`, { target }, { cause: error })
  })
  if (found === undefined) return
  const refuse = (why: string, hint: string): never => {
    throw new BackupError('CLIENT_TARGET', `${target} ${why}`, { target }, { hint })
  }
  if (!found.isDirectory()) refuse('is not a directory', 'name an empty directory, or one that does not exist yet')
  const inside = await readdir(target).catch((error: NodeJS.ErrnoException) => {
    throw new BackupError('CLIENT_TARGET', `cannot read ${target}: ${error.code}`, { target }, { cause: error })
  })
  if (inside.length > 0) refuse('is not empty', 'name an empty directory, or one that does not exist yet')
  if (found.dev !== (await stat(dirname(target))).dev) refuse('is a mount point', 'name a directory inside it')
}
