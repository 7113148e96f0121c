/**
 * A directory where files without a name are made, and the room that they may take there.
 *
 *     disk of the directory   │ used │ ours, bounded by its users │ … │ reserve │
 *                                                                     never taken
 *
 * The reserve is 5 % of the disk, but not more than 1 GiB. It is there for the others: the
 * directory often shares its disk with the server's temporary tables or with its data, and
 * a server that finds its disk full stops writing. 5 % keeps a small disk alive; 1 GiB is
 * many times what a server writes between two of our questions, on a disk of any size.
 *
 * The free space is asked before the first byte, and again every `ASK_EVERY_BYTES`: what
 * others write meanwhile is seen then.
 */

import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { join } from 'node:path'

import { BackupError } from '../errors/index.ts'
import { type ScratchDisk, type ScratchHandle, systemDisk } from './scratch-disk.ts'
import { ScratchFile } from './scratch-file.ts'

export interface ScratchSettings {
  /** Must exist, and be writable for nobody whom we do not trust. */
  readonly directory: string
  /** Random bytes, for names that nobody can guess. Left out: those of `node:crypto`; a test passes a trap in. */
  readonly random?: ((bytes: number) => Uint8Array) | undefined
  /** Left out: the real one. */
  readonly disk?: ScratchDisk | undefined
}

const RESERVE_SHARE = 0.05
const RESERVE_MAX_BYTES = 1024 ** 3

/** Small against the reserve, large against the price of a question (some 20 µs). */
const ASK_EVERY_BYTES = 16 * 1024 * 1024

/** "Create a nameless file": not among Node's constants. Source: asm-generic/fcntl.h, `__O_TMPFILE`. */
const TMPFILE = 0o20000000

/**
 * A file that never has a name. With O_EXCL it can never get one either. O_DIRECTORY is a
 * part of the flag, and another number on ARM than on x86: an old kernel, which does not know
 * the other part, then refuses to write to a directory. Source: open(2), "O_TMPFILE".
 */
const NAMELESS = constants.O_RDWR | constants.O_EXCL | constants.O_DIRECTORY | TMPFILE

/** O_EXCL and O_NOFOLLOW: what somebody may have put in its place is refused, not opened. */
const NEW = constants.O_RDWR | constants.O_EXCL | constants.O_NOFOLLOW | constants.O_CREAT

/**
 * What a system says that cannot make such files. ENOTSUP is Node's name for EOPNOTSUPP, the
 * word of file systems; EISDIR and ENOENT are those of old kernels (open(2), "ERRORS"), EINVAL that
 * of programs that play the kernel.
 */
const NEEDS_A_NAME: ReadonlySet<unknown> = new Set(['ENOTSUP', 'EOPNOTSUPP', 'EISDIR', 'ENOENT', 'EINVAL'])

const FILE_MODE = 0o600

/** 128 bits: nobody guesses it, and it never comes twice. */
const NAME_BYTES = 16

export class ScratchDirectory {
  readonly directory: string
  readonly #random: (bytes: number) => Uint8Array
  readonly #disk: ScratchDisk
  #grantedBytes = 0 // known to be free at the last question, and not yet taken

  constructor({ directory, random = randomBytes, disk = systemDisk }: ScratchSettings) {
    this.directory = directory
    this.#random = random
    this.#disk = disk
  }

  /**
   * A new, empty file without a name: whatever kills the process, the kernel gives the disk
   * back. On a file system that cannot make one it has a name for a moment, and has lost it
   * before the first byte.
   *
   * @throws BackupError `SCRATCH_NO_ROOM`, `SCRATCH_IO`
   */
  async open(): Promise<ScratchFile> {
    try {
      return new ScratchFile(await this.#openNameless(), this)
    } catch (cause) {
      throw this.failure('made', cause)
    }
  }

  async #openNameless(): Promise<ScratchHandle> {
    try {
      return await this.#disk.open(this.directory, NAMELESS, FILE_MODE)
    } catch (cause) {
      if (!NEEDS_A_NAME.has((cause as NodeJS.ErrnoException).code)) throw cause
      return this.#openUnlinked()
    }
  }

  async #openUnlinked(): Promise<ScratchHandle> {
    const path = join(this.directory, `.scratch-${Buffer.from(this.#random(NAME_BYTES)).toString('hex')}`)
    const handle = await this.#disk.open(path, NEW, FILE_MODE)
    try {
      await this.#disk.unlink(path)
      return handle
    } catch (cause) {
      await handle.close().catch(() => {})
      throw cause
    }
  }

  /**
   * For files that are about to grow.
   *
   * @throws BackupError `SCRATCH_NO_ROOM` when the disk would be left with less than its reserve; `SCRATCH_IO`
   */
  async claim(bytes: number): Promise<void> {
    if (this.#grantedBytes < bytes) {
      const { freeBytes, reserveBytes } = await this.room()
      const spareBytes = freeBytes - reserveBytes
      if (spareBytes < bytes) {
        const { directory } = this
        throw new BackupError(
          'SCRATCH_NO_ROOM',
          `the disk of ${directory} has ${freeBytes} bytes left, and ${reserveBytes} of them stay free for others`,
          { directory, freeBytes, reserveBytes, wantedBytes: bytes },
          { hint: NO_ROOM_HINT },
        )
      }
      this.#grantedBytes = Math.max(bytes, Math.min(spareBytes, ASK_EVERY_BYTES))
    }
    this.#grantedBytes -= bytes
  }

  /** For files: what the system said, in our words. `verb` completes "a scratch file cannot be …". */
  failure(verb: string, cause: unknown): BackupError {
    if (cause instanceof BackupError) return cause
    const { directory } = this
    const code = (cause as NodeJS.ErrnoException).code ?? null
    const isFull = code === 'ENOSPC' || code === 'EDQUOT'
    // Whatever was granted is not there: ask again before the next byte.
    if (isFull) this.#grantedBytes = 0
    return new BackupError(
      isFull ? 'SCRATCH_NO_ROOM' : 'SCRATCH_IO',
      `a scratch file in ${directory} cannot be ${verb}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { directory, system: code },
      {
        cause,
        hint: isFull
          ? NO_ROOM_HINT
          : 'check the disk and the permissions there, or name another directory with --spool-dir',
      },
    )
  }

  /**
   * What is free on the disk now, and how much of that is never taken.
   *
   * @throws BackupError `SCRATCH_IO`
   */
  async room(): Promise<{ readonly freeBytes: number; readonly reserveBytes: number }> {
    try {
      // `bavail`, not `bfree`: what the file system keeps for root is not for us either.
      const { bavail, blocks, bsize } = await this.#disk.statfs(this.directory)
      const reserveBytes = Math.min(Math.ceil(blocks * bsize * RESERVE_SHARE), RESERVE_MAX_BYTES)
      return { freeBytes: bavail * bsize, reserveBytes }
    } catch (cause) {
      throw this.failure('given room', cause)
    }
  }
}

const NO_ROOM_HINT = 'free some space there, name a directory on another disk with --spool-dir, or lower --spool-bytes'
