/**
 * Chooses what a backup locks so that there is one backup per server: the same thing in every agent on the host.
 *
 *     the data directory, when it is named or can be seen     every agent meets there, whoever runs it
 *     else LOCKS/server-<32 hex digits>.lock                  the agents that share LOCKS meet there
 *     else nothing
 *
 * A directory is locked itself: nothing is written into it. The file is made when it is
 * not there, stays empty and is never deleted: a lock on a deleted file excludes nobody.
 *
 * The lock is taken by `flock` in the child, see `host-guards.ts`; here nothing is locked.
 */

import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { access, open, readFile, realpath, stat, statfs } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import { BackupError } from '../errors/index.ts'
import { laxOwner, laxReaders, laxWriters } from '../trust/index.ts'
import { dataDirectoryOf } from './data-directory-of-socket.ts'
import { hostGuards } from './host-guards.ts'
import { isSameDevice } from './running-server.ts'
import type { EngineSettings } from './types.ts'

type Where = Pick<EngineSettings, 'datadir' | 'socket' | 'defaultsFile' | 'lockDirectory'>

/** Of the kernel's linux/magic.h: NFS, CIFS, SMB2. There a lock needs a file that is open for writing. */
const LOCKS_NO_DIRECTORY: ReadonlySet<number> = new Set([0x6969, 0xff534d42, 0xfe534d42])

const HASH_DIGITS = 32

/**
 * @returns absolute path of what is to be locked; `undefined` when there is nothing, or no `flock` on this host
 * @throws BackupError `ENGINE_LOCK` when the file cannot be made
 */
export const findServerLock = async (where: Where): Promise<string | undefined> => {
  if (!hostGuards().lock) return undefined
  const datadir = await dataDirectoryOf(where)
  if (datadir !== undefined) {
    const directory = await lockableDirectory(resolve(datadir))
    if (directory !== undefined) return directory
  }
  return where.lockDirectory === undefined ? undefined : makeLockFile(resolve(where.lockDirectory), await nameOf(where))
}

/** Process id of whoever holds the lock at this moment, if that can be seen. Never rejects. */
export const findLockHolder = async (lock: string): Promise<number | undefined> => {
  try {
    const { dev, ino } = await stat(lock, { bigint: true })
    for (const [, pid, device, inode] of (await readFile('/proc/locks', 'latin1')).matchAll(HELD_FLOCK)) {
      if (device === undefined || inode !== String(ino) || !isSameDevice(dev, device)) continue
      // 0 and less: a process outside of this container.
      return Number(pid) > 0 ? Number(pid) : undefined
    }
  } catch {
    // what cannot be looked at tells nothing
  }
  return undefined
}

/** `1: FLOCK  ADVISORY  WRITE 7103 fe:00:2164301 0 EOF`. Format: proc_locks(5). */
const HELD_FLOCK = /^\d+: FLOCK +\w+ +WRITE (-?\d+) ([0-9a-f]+:[0-9a-f]+):(\d+) /gm

const lockableDirectory = async (path: string): Promise<string | undefined> => {
  try {
    const directory = await realpath(path)
    if (!(await stat(directory)).isDirectory()) return undefined
    await access(directory, constants.R_OK)
    return LOCKS_NO_DIRECTORY.has((await statfs(directory)).type) ? undefined : directory
  } catch {
    return undefined
  }
}

/** Agents that reach a server on the same way give it the same name. */
const nameOf = async ({ socket, defaultsFile }: Where): Promise<string> => {
  const way = socket ?? defaultsFile
  const named = way === undefined ? 'default' : await realpath(way).catch(() => resolve(way))
  return `server-${createHash('sha256').update(named).digest('hex').slice(0, HASH_DIGITS)}.lock`
}

const makeLockFile = async (directory: string, name: string): Promise<string> => {
  const path = join(directory, name)
  const refuse = (problem: string, cause?: unknown): never => {
    throw new BackupError(
      'ENGINE_LOCK',
      `the lock of the server cannot be made: ${path}: ${problem}`,
      { path },
      { cause, hint: `look at ${directory}: it must be the agent's own, with nothing else under that name` },
    )
  }
  const { O_RDONLY, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants
  // O_NONBLOCK: a FIFO under that name must not make us wait for its writer.
  const file = await open(path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600).catch(
    (error: NodeJS.ErrnoException) => refuse(error.code ?? 'unknown error', error),
  )
  try {
    const found = await file.stat()
    if (!found.isFile()) refuse('it is not a file')
    // Whoever may open it may lock it, and keep every backup away.
    const lax = laxOwner(found, path) ?? laxWriters(found, path) ?? laxReaders(found, path)
    if (lax !== undefined) refuse(`${lax.problem}: ${lax.command}`)
    return path
  } finally {
    await file.close()
  }
}
