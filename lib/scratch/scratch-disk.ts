/**
 * The few calls to the system that scratch files need, as an interface: a test puts a
 * disk there that is full, or that forgets.
 */

import { open, statfs, unlink } from 'node:fs/promises'

/** What is used of an open file. `close` waits for calls that are under way, as Node's `FileHandle` does. */
export interface ScratchHandle {
  writev(buffers: readonly Buffer[], position: number): Promise<{ readonly bytesWritten: number }>
  read(into: Buffer, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>
  truncate(bytes: number): Promise<void>
  close(): Promise<void>
}

export interface ScratchDisk {
  open(path: string, flags: number, mode: number): Promise<ScratchHandle>
  unlink(path: string): Promise<void>
  /** `bavail` and `blocks` are counted in units of `bsize` bytes. Source: statfs(2). */
  statfs(path: string): Promise<{ readonly bavail: number; readonly blocks: number; readonly bsize: number }>
}

/** The real one. */
export const systemDisk: ScratchDisk = { open, unlink, statfs }
