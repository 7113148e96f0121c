/** A directory in memory, so that no disk is in a figure. */

import { existsSync } from 'node:fs'

import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'

export interface MemoryDirectory {
  readonly path: string
  remove(): Promise<void>
}

export const makeMemoryDirectory = (): MemoryDirectory => {
  const path = existsSync('/dev/shm') ? makeGuardedDirectory('bench', '/dev/shm') : makeGuardedDirectory('bench')
  return { path, remove: () => removeGuardedDirectory(path) }
}
