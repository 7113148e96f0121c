/**
 * Reads a small file whole, and never more of it than it may have.
 *
 * The size that `stat` says is no bound: a file grows, and some have none.
 */

import type { FileHandle } from 'node:fs/promises'

/** @returns undefined when there are more than `maxBytes` */
export const readBounded = async (file: FileHandle, maxBytes: number): Promise<Buffer | undefined> => {
  const buffer = Buffer.alloc(maxBytes + 1)
  let bytes = 0
  for (;;) {
    const { bytesRead } = await file.read(buffer, bytes, buffer.length - bytes, null)
    bytes += bytesRead
    if (bytesRead === 0 || bytes === buffer.length) break
  }
  return bytes > maxBytes ? undefined : buffer.subarray(0, bytes)
}
