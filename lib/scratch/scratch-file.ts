/**
 * One file without a name: written at any place, read at any place, whole or not at all.
 *
 * The system may write or read less than it was asked to, and says so only in a number.
 * Nobody above this file has to think of that. What the bytes mean, and how many they may
 * be, is the caller's business.
 */

import type { ScratchDirectory } from './scratch-directory.ts'
import type { ScratchHandle } from './scratch-disk.ts'

export class ScratchFile {
  readonly #handle: ScratchHandle
  readonly #home: ScratchDirectory
  #claimedTo = 0 // the disk has been asked for room up to here

  /** For `ScratchDirectory.open`. */
  constructor(handle: ScratchHandle, home: ScratchDirectory) {
    this.#handle = handle
    this.#home = home
  }

  /**
   * Writes all of `buffers`, one behind the other, from `position` on. After a failure an
   * unknown part of it is in the file.
   *
   * @throws BackupError `SCRATCH_NO_ROOM`, `SCRATCH_IO`
   */
  async write(buffers: readonly Buffer[], position: number): Promise<void> {
    const end = position + buffers.reduce((sum, { length }) => sum + length, 0)
    if (end > this.#claimedTo) {
      await this.#home.claim(end - this.#claimedTo)
      this.#claimedTo = end
    }
    try {
      let left = buffers.filter(({ length }) => length > 0)
      for (let at = position; at < end; ) {
        const { bytesWritten } = await this.#handle.writev(left, at)
        if (bytesWritten === 0) throw new Error(`the system wrote nothing at byte ${at}`)
        at += bytesWritten
        // A disk that is nearly full takes a part, and says why only at the next call.
        if (at < end) left = behind(left, bytesWritten)
      }
    } catch (cause) {
      throw this.#home.failure('written', cause)
    }
  }

  /**
   * Reads exactly `length` bytes, which must have been written.
   *
   * @param bytes where to: so long at least. Left out: a buffer of their own
   * @returns the part of it that was filled
   * @throws BackupError `SCRATCH_IO`, also when the file ends before that
   */
  async read(length: number, position: number, bytes: Buffer = Buffer.allocUnsafeSlow(length)): Promise<Buffer> {
    try {
      for (let done = 0; done < length; ) {
        const { bytesRead } = await this.#handle.read(bytes, done, length - done, position + done)
        if (bytesRead === 0) throw new Error(`it ends at byte ${position + done}, before ${position + length}`)
        done += bytesRead
      }
    } catch (cause) {
      throw this.#home.failure('read back', cause)
    }
    return bytes.subarray(0, length)
  }

  /** Gives all of its disk back, and stays open. */
  async empty(): Promise<void> {
    try {
      await this.#handle.truncate(0)
      this.#claimedTo = 0
    } catch (cause) {
      throw this.#home.failure('emptied', cause)
    }
  }

  /** Gives its disk back, after the calls that are under way. Never throws: nothing in here is wanted any more. */
  async close(): Promise<void> {
    await this.#handle.close().catch(() => {})
  }
}

/** What remains of `buffers` without their first `bytes`. */
const behind = (buffers: readonly Buffer[], bytes: number): Buffer[] => {
  let skip = bytes
  let from = 0
  for (let next = buffers[from]; next !== undefined && next.length <= skip; next = buffers[from]) {
    skip -= next.length
    from += 1
  }
  const [first, ...rest] = buffers.slice(from)
  return first === undefined ? [] : [first.subarray(skip), ...rest]
}
