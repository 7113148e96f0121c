/**
 * A directory that has its name only when what is in it is whole.
 *
 *     DIR.part  ──files──▶  rename ─▶ fsync of the parent  ──▶  DIR
 *
 * DIR itself must not exist, or be empty. Whatever happens before the rename leaves
 * DIR as it was; a commit that throws behind it leaves no DIR once it is discarded.
 */

import { lstat, mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'

import { BackupError } from '../errors/index.ts'
import { cannotWrite, probe, syncDirectory } from './part-file.ts'

/** A data directory is nobody else's business. */
const DIRECTORY_MODE = 0o700

/** Which name the directory has now. */
type State = 'part' | 'renamed' | 'committed'

export class StagingDirectory {
  /** Where to put the files. */
  readonly path: string
  readonly #target: string
  readonly #sync: typeof syncDirectory
  #state: State = 'part'

  private constructor(target: string, path: string, sync: typeof syncDirectory) {
    this.#target = target
    this.path = path
    this.#sync = sync
  }

  /**
   * @param sync makes the name durable; a test puts a disk there that fails
   * @throws BackupError `CLIENT_TARGET` when DIR holds something, is a mount point, or DIR.part is in the way;
   *   `CLIENT_WRITE` when the disk takes nothing
   */
  static async create(directory: string, sync = syncDirectory): Promise<StagingDirectory> {
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
    const staging = new StagingDirectory(target, path, sync)
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
      this.#state = 'renamed'
      await this.#sync(dirname(this.#target))
      this.#state = 'committed'
    } catch (cause) {
      const errno = (cause as NodeJS.ErrnoException).code ?? 'unknown'
      throw new BackupError(
        'CLIENT_TARGET',
        this.#state === 'part'
          ? `cannot rename ${this.path} to ${this.#target}: ${errno}`
          : `cannot make the name ${this.#target} durable: ${errno}`,
        { errno },
        { cause },
      )
    }
  }

  /**
   * Removes everything that was put there, whichever name it has; does nothing after a commit. Never throws: the reason
   * for calling it counts.
   */
  async discard(): Promise<void> {
    if (this.#state === 'committed') return
    await rm(await this.#unnamed(), { recursive: true, force: true }).catch(() => undefined)
  }

  /** Where what was put there is, without the name of a backup if that can be: half removed it would look like one. */
  async #unnamed(): Promise<string> {
    if (this.#state === 'part') return this.path
    return rename(this.#target, this.path).then(
      () => this.path,
      () => this.#target,
    )
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
