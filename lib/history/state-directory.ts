/**
 * The directory where the agent remembers, and the names in it.
 *
 *     history-000007.jsonl                 the journal: the highest number is the current one
 *     history-000006.damaged               an earlier one that had damaged lines, set aside whole
 *     history-000008.9f3c….part            the next one, while it is written
 *
 * The directory has mode 0700, its files 0600, and all belong to the user of the agent;
 * anything laxer is refused, and so is a symbolic link. Numbers only grow, and the highest
 * one is never removed: whoever sees two generations knows which one counts.
 *
 * Must be a local file system: over a network, appending is not atomic (open(2), "O_APPEND").
 */

import { constants } from 'node:fs'
import { type FileHandle, link, lstat, open, readdir, statfs, unlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import { BackupError } from '../errors/index.ts'
import { fileFailure } from './file-failure.ts'
import { makePrivateDirectory } from './private-directory.ts'

/** What others may do to a file or directory of ours: nothing. */
const OTHERS = 0o077
/** Generations with damage that are kept: evidence, not an archive. */
const MAX_SET_ASIDE = 16
/** File systems that let a client emulate O_APPEND. Source: statfs(2): NFS, SMB, CIFS, SMB2, AFS, Ceph. */
const NETWORK_FILE_SYSTEMS: ReadonlySet<number> = new Set([
  0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x5346414f, 0x00c36400,
])

const GENERATION = /^history-(\d{6,})\.jsonl$/
const PART = /^history-(\d{6,})\.[0-9a-zA-Z-]+\.part$/
const SET_ASIDE = /^history-(\d{6,})\.damaged$/

const numbered = (generation: number): string => `history-${String(generation).padStart(6, '0')}`

/** Why the directory is opened: a writer makes it and what is missing above it, and must own it. */
type Purpose = 'write' | 'read'

export class StateDirectory {
  readonly path: string
  readonly #purpose: Purpose

  private constructor(path: string, purpose: Purpose) {
    this.path = path
    this.#purpose = purpose
  }

  /** @throws BackupError `HISTORY_DIRECTORY`, `HISTORY_UNSAFE` */
  static async open(path: string, purpose: Purpose): Promise<StateDirectory> {
    // A slash at the end would make the kernel follow a link after all.
    const directory = new StateDirectory(resolve(path), purpose)
    try {
      if (purpose === 'write') await makePrivateDirectory(directory.path)
      const handle = await open(directory.path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
      try {
        await directory.#check(handle, directory.path, 'directory')
      } finally {
        await handle.close()
      }
      if (purpose === 'write') await directory.#checkFileSystem()
    } catch (error) {
      throw fileFailure(`use the state directory ${directory.path}`, error)
    }
    return directory
  }

  file(generation: number): string {
    return join(this.path, `${numbered(generation)}.jsonl`)
  }

  part(generation: number, id: string): string {
    return join(this.path, `${numbered(generation)}.${id}.part`)
  }

  /**
   * The highest generation, or 0.
   *
   * Looks until it sees the same twice: a listing during which one generation appears and
   * another goes may show neither.
   */
  async current(): Promise<number> {
    let before = -1
    for (;;) {
      const highest = Math.max(0, ...(await this.#numbers(GENERATION)))
      if (highest === before) return highest
      before = highest
    }
  }

  /** @returns undefined when it is not there (any more) */
  async openGeneration(generation: number): Promise<FileHandle | undefined> {
    const access = this.#purpose === 'write' ? constants.O_RDWR | constants.O_APPEND : constants.O_RDONLY
    return this.#openChecked(this.file(generation), access)
  }

  /** Whether an open file still is what stands under the number: somebody may have emptied the directory. */
  async isGeneration(file: FileHandle, generation: number): Promise<boolean> {
    const named = await lstat(this.file(generation)).catch(() => undefined)
    const opened = await file.stat()
    return named?.ino === opened.ino && named.dev === opened.dev
  }

  /** Makes the first generation. Another process may be faster, which is as good. */
  async createFirst(): Promise<void> {
    const handle = await open(this.file(1), constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error
        return undefined
      },
    )
    await handle?.close()
  }

  /** A file for the next generation that nobody else writes to. */
  createPart(generation: number, id: string): Promise<FileHandle> {
    return open(
      this.part(generation, id),
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
      0o600,
    )
  }

  /**
   * Gives a finished file the name of a generation, all at once, unless there is one:
   * of several who try, exactly one succeeds (link(2)).
   */
  async publish(part: string, generation: number): Promise<boolean> {
    return linkUnlessThere(part, this.file(generation))
  }

  /** Keeps a generation for whoever wants to look at its damage. */
  async setAside(generation: number): Promise<void> {
    await linkUnlessThere(this.file(generation), join(this.path, `${numbered(generation)}.damaged`))
  }

  /** Removes what the current generation has replaced. */
  async removeReplaced(): Promise<void> {
    const current = await this.current()
    // What replaces them must be on the disk before they go.
    await this.sync()
    const names = await readdir(this.path)
    const setAside = names.filter((name) => SET_ASIDE.test(name)).sort(byNumber)
    const old = names.filter((name) => (numberIn(name, GENERATION) ?? current) < current)
    const parts = names.filter((name) => (numberIn(name, PART) ?? current + 1) <= current)
    for (const name of [...old, ...parts, ...setAside.slice(0, -MAX_SET_ASIDE)]) {
      await this.#remove(name)
    }
  }

  /**
   * Removes files for a next generation that somebody may have left when it died. Whoever is
   * still writing one finds it gone, and does it again.
   */
  async removeParts(): Promise<void> {
    try {
      for (const name of await readdir(this.path)) if (PART.test(name)) await this.#remove(name)
    } catch (error) {
      throw fileFailure(`tidy up ${this.path}`, error)
    }
  }

  /** Makes the names in the directory durable. */
  async sync(): Promise<void> {
    const handle = await open(this.path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  }

  async #remove(name: string): Promise<void> {
    await unlink(join(this.path, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error // somebody else tidies up too
    })
  }

  async #numbers(pattern: RegExp): Promise<number[]> {
    const names = await readdir(this.path)
    return names.flatMap((name) => numberIn(name, pattern) ?? [])
  }

  async #openChecked(path: string, access: number): Promise<FileHandle | undefined> {
    let handle: FileHandle
    try {
      // Non-blocking, so that a FIFO in its place is refused and not waited for.
      handle = await open(path, access | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw fileFailure(`open ${path}`, error)
    }
    try {
      await this.#check(handle, path, 'file')
      return handle
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  async #check(handle: FileHandle, path: string, kind: 'file' | 'directory'): Promise<void> {
    const found = await handle.stat()
    const unsafe = (message: string, hint: string): BackupError =>
      new BackupError(
        'HISTORY_UNSAFE',
        `${path} ${message}`,
        { path },
        { hint: `${hint}, or name another directory with --state-dir` },
      )
    if (kind === 'file' && !found.isFile()) throw unsafe('is not a plain file', 'move it away')
    const user = process.geteuid?.() ?? 0
    const readByRoot = this.#purpose === 'read' && user === 0
    if (found.uid !== user && !readByRoot) {
      throw unsafe(`belongs to user ${found.uid}, expected ${user}`, `run it as user ${found.uid}, change the owner`)
    }
    if ((found.mode & OTHERS) !== 0) {
      const [mode, expected] = [(found.mode & 0o777).toString(8).padStart(4, '0'), kind === 'file' ? '0600' : '0700']
      throw unsafe(
        `has mode ${mode}, expected ${expected}`,
        // systemd makes it 0755 when nobody tells it otherwise. Source: systemd.exec(5), "StateDirectoryMode=".
        `chmod ${expected} ${path}, after a look at who could write (in a unit file: StateDirectoryMode=0700)`,
      )
    }
  }

  async #checkFileSystem(): Promise<void> {
    const { type } = await statfs(this.path)
    if (!NETWORK_FILE_SYSTEMS.has(type)) return
    throw new BackupError(
      'HISTORY_DIRECTORY',
      `the state directory ${this.path} is on a network file system, where lines of two writers may overwrite each other`,
      { path: this.path, type },
      { hint: 'name a directory on a local disk with --state-dir' },
    )
  }
}

const linkUnlessThere = async (from: string, to: string): Promise<boolean> => {
  try {
    await link(from, to)
    return true
  } catch (error) {
    // ENOENT: whoever was faster has tidied up our file already.
    if (['EEXIST', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw error
  }
}

const numberIn = (name: string, pattern: RegExp): number | undefined => {
  const digits = pattern.exec(name)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

const byNumber = (a: string, b: string): number => (numberIn(a, SET_ASIDE) ?? 0) - (numberIn(b, SET_ASIDE) ?? 0)
