/**
 * A private directory for one increment, beside the directory that it is applied to.
 *
 *     DIR.part-increment   made, unpacked into, applied, removed; then the next one
 *
 * On the disk of the target, because the backup program moves files from the one to the other.
 */

import { lstat, mkdir, rm } from 'node:fs/promises'
import { resolve } from 'node:path'

import { BackupError } from '../errors/index.ts'

const DIRECTORY_MODE = 0o700

export class IncrementDirectory {
  readonly path: string

  /** @param target the directory that the restored backup will be */
  constructor(target: string) {
    this.path = `${resolve(target)}.part-increment`
  }

  /** Says at once what would be in the way hours later. @throws BackupError `CLIENT_TARGET` */
  async refuseExisting(): Promise<void> {
    const found = await lstat(this.path).catch(() => undefined)
    if (found !== undefined) throw this.#cannotMake('EEXIST')
  }

  /** @throws BackupError `CLIENT_TARGET` when something is in the way */
  async create(): Promise<void> {
    try {
      await mkdir(this.path, { mode: DIRECTORY_MODE })
    } catch (cause) {
      throw this.#cannotMake((cause as NodeJS.ErrnoException).code ?? 'unknown', cause)
    }
  }

  /** Removes it with everything in it: of a long chain never more than one increment takes room. Never throws. */
  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true }).catch(() => undefined)
  }

  #cannotMake(errno: string, cause?: unknown): BackupError {
    const hint =
      errno === 'EEXIST'
        ? `an earlier run left it: remove ${this.path} first, unless that run is still at work`
        : 'can you write to the directory above it?'
    return new BackupError('CLIENT_TARGET', `cannot make ${this.path}: ${errno}`, { errno }, { cause, hint })
  }
}
