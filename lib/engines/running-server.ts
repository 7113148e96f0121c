/**
 * Tells whether a database server is running on files: a running InnoDB or Aria holds a lock on its own.
 *
 *     1: POSIX  ADVISORY  WRITE 7103 fe:00:2164301 0 EOF
 *        kind             mode  pid  device:inode
 *
 * `/proc/locks` shows the locks of this host that this process may know of: one taken on
 * another host of a shared file system, or outside of this container, is not in it.
 *
 * Looks only. Format: proc_locks(5).
 */

import { readFile } from 'node:fs/promises'

export interface LockedFile {
  readonly path: string
  readonly pid: number
  /** Name of the process, when it can be seen. */
  readonly processName: string | undefined
}

export interface FileIdentity {
  readonly path: string
  readonly device: bigint
  readonly inode: bigint
}

interface WriteLock {
  readonly pid: number
  readonly device: string
  readonly inode: bigint
}

// A lock that someone waits for is drawn with an arrow (`2: -> POSIX …`): only held ones count.
const HELD_WRITE_LOCK = /^\d+: (?:POSIX|OFDLCK) +\w+ +WRITE (-?\d+) ([0-9a-f]+:[0-9a-f]+):(\d+) /gm

/** @throws the error of reading `/proc/locks`: without it, nobody can say */
export const findLockedFile = async (files: Iterable<FileIdentity>): Promise<LockedFile | undefined> => {
  const locks = parseLocks(await readFile('/proc/locks', 'latin1'))
  if (locks.size === 0) return undefined
  for (const { path, device, inode } of files) {
    const lock = locks.get(inode)
    if (lock === undefined || !isSameDevice(device, lock.device)) continue
    return { path, pid: lock.pid, processName: await processName(lock.pid) }
  }
  return undefined
}

export const parseLocks = (text: string): ReadonlyMap<bigint, WriteLock> => {
  const locks = new Map<bigint, WriteLock>()
  for (const [, pid, device, inode] of text.matchAll(HELD_WRITE_LOCK)) {
    if (pid === undefined || device === undefined || inode === undefined) continue
    locks.set(BigInt(inode), { pid: Number(pid), device, inode: BigInt(inode) })
  }
  return locks
}

/** File systems like btrfs and overlayfs show `stat` another device than the kernel's own: an unnamed one, major 0. */
export const isSameDevice = (device: bigint, shown: string): boolean => {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)
  const minor = (device & 0xffn) | ((device >> 12n) & ~0xffn)
  const [shownMajor, shownMinor] = shown.split(':').map((part) => BigInt(`0x${part}`))
  return major === 0n || shownMajor === 0n || (major === shownMajor && minor === shownMinor)
}

const processName = async (pid: number): Promise<string | undefined> => {
  try {
    return (await readFile(`/proc/${pid}/comm`, 'utf8')).trim()
  } catch {
    return undefined
  }
}
