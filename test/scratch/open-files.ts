/** What this process has open below a directory, as the kernel tells it. */

import { readdirSync, readlinkSync, statSync } from 'node:fs'

export interface OpenFile {
  readonly target: string
  readonly bytes: number
  /** Disk that it occupies. */
  readonly diskBytes: number
  readonly mode: number
}

const STAT_BLOCK_BYTES = 512 // whatever the file system's own block is. Source: stat(2)

export const openBelow = (directory: string): OpenFile[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = `/proc/self/fd/${fd}`
      const target = readlinkSync(path)
      if (!target.startsWith(directory)) return []
      const { size, blocks, mode } = statSync(path)
      return [{ target, bytes: size, diskBytes: blocks * STAT_BLOCK_BYTES, mode: mode & 0o777 }]
    } catch {
      return [] // the descriptor with which /proc was read
    }
  })
