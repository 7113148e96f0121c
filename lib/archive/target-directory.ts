/**
 * A directory that files are created in, and nothing outside it.
 *
 * Every name is opened step by step from the target's own descriptor, and no step follows a link: a directory that
 * somebody replaces by a link while we work is refused, it never leads us elsewhere. Node has no `openat`; a path below
 * `/proc/self/fd/N` does the same on Linux, the only system this package is for.
 *
 * It creates and never replaces: what is there already is an error. Every failure of the file system becomes
 * `CLIENT_WRITE`, with the name and what can be done. Nothing is removed here.
 */

import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, opendir } from 'node:fs/promises'
import { posix } from 'node:path'

import { BackupError } from '../errors/index.ts'
import { MAX_PATH_BYTES, showPath } from './safe-path.ts'

const AS_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY
const AS_NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

/** Of an archive's permissions, those for a file: no setuid, setgid, sticky; the owner can always read and write. */
const fileMode = (mode: number): number => (mode & 0o777) | 0o600

/** And for a directory: nobody else may write. */
const directoryMode = (mode: number): number => (mode & 0o755) | 0o700

/** A directory that only the names of its files told us about. */
const IMPLIED_MODE = 0o700

/** The target itself, among the directories inside it. */
const ROOT = ''

export class TargetDirectory {
  readonly #root: FileHandle
  readonly #shown: string
  readonly #created = new Set<string>()
  /**
   * The directory that was used last, and those above it, from the top: files of one directory mostly come together,
   * and the next one is mostly near. As many as a name may have components.
   */
  readonly #way: { readonly path: string; readonly handle: FileHandle }[] = []

  private constructor(root: FileHandle, shown: string) {
    this.#root = root
    this.#shown = shown
  }

  /**
   * @param path a directory that exists and is empty; it may be reached through links, that is the caller's choice
   * @throws BackupError `CLIENT_TARGET`
   */
  static async open(path: string): Promise<TargetDirectory> {
    let root: FileHandle | undefined
    try {
      root = await open(path, AS_DIRECTORY)
      const first = await firstEntry(root)
      if (first === undefined) return new TargetDirectory(root, path)
      throw new BackupError(
        'CLIENT_TARGET',
        `expected ${showPath(path)} to be empty, found ${showPath(first)} in it`,
        { path: showPath(path) },
        { hint: 'name an empty directory, so that nothing is overwritten' },
      )
    } catch (cause) {
      await root?.close()
      const errno = codeOf(cause)
      if (cause instanceof BackupError || errno === undefined) throw cause
      throw new BackupError(
        'CLIENT_TARGET',
        `expected ${showPath(path)} to be a directory that can be used, found ${MEANINGS.get(errno) ?? errno}`,
        { path: showPath(path), errno },
        {
          cause,
          hint:
            errno === 'ENOENT' ? `make it first: \`mkdir ${showPath(path)}\`` : 'name an empty directory of your own',
        },
      )
    }
  }

  /** Creates a directory, and those above it. One that was created for a file in it is taken as it is. */
  async createDirectory(path: string, mode: number): Promise<void> {
    if (this.#created.has(path)) return
    this.#checkLength(path)
    await this.#create(path, directoryMode(mode))
  }

  /**
   * Creates a file for writing, and the directories above it.
   *
   * @throws BackupError `CLIENT_WRITE`, also when anything of that name is there already
   */
  async createFile(path: string, mode: number): Promise<FileHandle> {
    this.#checkLength(path)
    const parent = await this.#parentOf(path)
    return this.attempt(path, () => open(below(parent, posix.basename(path)), AS_NEW_FILE, fileMode(mode)))
  }

  /** Makes sure that the names of everything created here are on the disk. The files themselves are the caller's. */
  async syncDirectories(): Promise<void> {
    for (const path of [...this.#created].reverse()) {
      const handle = await this.#openDirectory(path)
      await this.attempt(path, () => handle.sync())
    }
    await this.attempt(ROOT, () => this.#root.sync())
  }

  async close(): Promise<void> {
    await this.#goUp(0)
    await this.#root.close()
  }

  /** Does something to a file here; a failure of the file system says which one it was, and what to do. */
  async attempt<Result>(path: string, action: () => Promise<Result>): Promise<Result> {
    try {
      return await action()
    } catch (cause) {
      const errno = codeOf(cause)
      if (errno === undefined) throw cause
      const full = posix.join(this.#shown, path)
      const hint = HINTS.get(errno)
      throw new BackupError(
        'CLIENT_WRITE',
        `expected to write ${showPath(full)}, found ${MEANINGS.get(errno) ?? errno}`,
        { path: showPath(full), errno },
        hint === undefined ? { cause } : { cause, hint },
      )
    }
  }

  /** From a descriptor a longer name could be made, and then nobody could remove it by its name. */
  #checkLength(path: string): void {
    const full = posix.join(this.#shown, path)
    if (Buffer.byteLength(full) <= MAX_PATH_BYTES) return
    throw new BackupError(
      'CLIENT_WRITE',
      `expected a name of at most ${MAX_PATH_BYTES} bytes, found one of ${Buffer.byteLength(full)}: ${showPath(full)}`,
      { path: showPath(full), errno: 'ENAMETOOLONG' },
      { hint: 'name a target whose own path is shorter' },
    )
  }

  async #create(path: string, mode: number): Promise<void> {
    const parent = await this.#parentOf(path)
    await this.attempt(path, () => mkdir(below(parent, posix.basename(path)), { mode }))
    this.#created.add(path)
  }

  async #parentOf(path: string): Promise<FileHandle> {
    const parent = posix.dirname(path)
    if (parent === '.') return this.#root
    if (!this.#created.has(parent)) await this.#create(parent, IMPLIED_MODE)
    return this.#openDirectory(parent)
  }

  /** Step by step from the last directory on the way that is above it, each of them refusing a link. */
  async #openDirectory(path: string): Promise<FileHandle> {
    const names = path.split('/')
    const isOnTheWay = ({ path: open }: { readonly path: string }): boolean => `${path}/`.startsWith(`${open}/`)
    await this.#goUp(this.#way.filter(isOnTheWay).length)
    for (const name of names.slice(this.#way.length)) {
      const above = this.#way.at(-1)
      const walked = posix.join(above?.path ?? ROOT, name)
      const from = above?.handle ?? this.#root
      const handle = await this.attempt(walked, () => open(below(from, name), AS_DIRECTORY | constants.O_NOFOLLOW))
      this.#way.push({ path: walked, handle })
    }
    return this.#way.at(-1)?.handle ?? this.#root
  }

  /** Lets go of what lies below so many directories of the way. */
  async #goUp(kept: number): Promise<void> {
    for (const { handle } of this.#way.splice(kept).reverse()) await handle.close()
  }
}

const below = (directory: FileHandle, name: string): string => `/proc/self/fd/${directory.fd}/${name}`

const firstEntry = async (directory: FileHandle): Promise<string | undefined> => {
  const entries = await opendir(`/proc/self/fd/${directory.fd}`)
  try {
    return (await entries.read())?.name
  } finally {
    await entries.close()
  }
}

/** By its `code` alone: not every error of the file system is an instance of our own realm's `Error`. */
const codeOf = (error: unknown): string | undefined =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined

const MEANINGS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'nothing of that name (ENOENT)'],
  ['ENOSPC', 'no space left on the disk (ENOSPC)'],
  ['EDQUOT', 'the disk quota used up (EDQUOT)'],
  ['EACCES', 'no permission (EACCES)'],
  ['EPERM', 'no permission (EPERM)'],
  ['EROFS', 'a file system that cannot be written (EROFS)'],
  ['EEXIST', 'something of that name that we did not make (EEXIST)'],
  ['ELOOP', 'a link in its place (ELOOP)'],
  ['ENOTDIR', 'something else in place of a directory (ENOTDIR)'],
  ['EMFILE', 'too many open files (EMFILE)'],
  ['EIO', 'an error of the disk (EIO)'],
])

const HINTS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'see that nobody else works in the directory, and that /proc is mounted'],
  ['ENOSPC', 'make room or name a directory on a larger disk: a backup needs as much as the data itself'],
  ['EDQUOT', 'raise the quota or name a directory on another disk'],
  ['EACCES', 'run as the owner of the directory, or name another one'],
  ['EPERM', 'run as the owner of the directory, or name another one'],
  ['EROFS', 'name a directory on another file system'],
  ['EEXIST', 'see that nobody else writes into the directory, and begin again with an empty one'],
  ['ELOOP', 'see that nobody else writes into the directory, and begin again with an empty one'],
  ['ENOTDIR', 'see that nobody else writes into the directory, and begin again with an empty one'],
  ['EMFILE', 'raise the limit: `ulimit -n`'],
  ['EIO', 'look into the kernel log, and use another disk'],
])
