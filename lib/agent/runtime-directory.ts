/**
 * The agent's private directory for things that live for a moment: 0700, random name.
 *
 * The backup program's working directory, and where the login is put into a file that
 * has lost its name before it holds a byte. Removed when the agent stops; what a
 * killed agent left behind (an empty directory, or one with the socket of a child that
 * was being started) is removed by the next one.
 */

import { lstat, mkdtemp, readdir, rm, rmdir, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { isChildSocketName } from '../engines/index.ts'

const PREFIX = 'kv-backup-agent-'
const NAME = /^kv-backup-agent-(\d+)-/

export interface RuntimeDirectory {
  readonly path: string
  remove(): Promise<void>
}

export const makeRuntimeDirectory = async (parent = tmpdir()): Promise<RuntimeDirectory> => {
  await removeLeftovers(parent)
  const path = await mkdtemp(join(parent, `${PREFIX}${process.pid}-`)) // mode 0700, and refuses a name that is there
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

/** Only ours, only of processes that are gone, and only if nothing but sockets is in it: `rmdir` refuses everything else. */
const removeLeftovers = async (parent: string): Promise<void> => {
  for (const name of await readdir(parent).catch(() => [])) {
    const pid = Number(NAME.exec(name)?.[1])
    if (!Number.isInteger(pid) || isAlive(pid)) continue
    const path = join(parent, name)
    const found = await lstat(path).catch(() => undefined)
    if (found?.isDirectory() !== true || found.uid !== process.geteuid?.()) continue
    await removeSockets(path)
    await rmdir(path).catch(() => undefined)
  }
}

/** Their names are gone a moment after they were made, unless the agent is killed in that moment. */
const removeSockets = async (path: string): Promise<void> => {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => [])
  for (const entry of entries) {
    if (entry.isSocket() && isChildSocketName(entry.name)) await unlink(join(path, entry.name)).catch(() => undefined)
  }
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
