/**
 * Disks that a test can have at will.
 *
 * `OddDisk` is the real one with faults: it can be short of space, write less than asked,
 * refuse calls, or hold them until the test lets them go. `MemoryDisk` keeps its files in
 * memory, so that a schedule decides alone in which order calls return.
 */

import { constants } from 'node:fs'

import { type ScratchDisk, type ScratchHandle, systemDisk } from '../../lib/scratch/index.ts'

export type DiskCall = 'open' | 'unlink' | 'statfs' | 'writev' | 'read' | 'truncate' | 'close'

/** An error as the system makes them. */
export const systemError = (code: string): Error => Object.assign(new Error(`${code}: made by the test`), { code })

export class OddDisk implements ScratchDisk {
  /** Awaited before every call; throws to make it fail. */
  before: (call: DiskCall) => Promise<void> | void = () => {}
  /** Most bytes that one call writes or reads. */
  mostBytes = Number.POSITIVE_INFINITY
  /** What `statfs` says, instead of the truth. */
  space: (() => { bavail: number; blocks: number; bsize: number }) | undefined
  /** What it answers to the order to make a file without a name; undefined: it makes one, when the real one can. */
  withoutName: string | undefined = 'ENOTSUP'
  readonly calls: DiskCall[] = []
  /** What was opened, and how. */
  readonly opened: { readonly path: string; readonly flags: number }[] = []
  readonly #real: ScratchDisk
  readonly #awaited: { writes: number; resolve: () => void }[] = []
  #writes = 0

  constructor(real: ScratchDisk = systemDisk) {
    this.#real = real
  }

  count(call: DiskCall): number {
    return this.calls.filter((one) => one === call).length
  }

  /** Resolves when so many writes have returned, and whoever waited for the last one has gone on. */
  async written(writes: number): Promise<void> {
    if (this.#writes < writes) await new Promise<void>((resolve) => this.#awaited.push({ writes, resolve }))
    await new Promise((resolve) => setImmediate(resolve))
  }

  async open(path: string, flags: number, mode: number): Promise<ScratchHandle> {
    this.opened.push({ path, flags })
    // No call yet: the real attempt is the next one.
    if ((flags & constants.O_DIRECTORY) !== 0 && this.withoutName !== undefined) throw systemError(this.withoutName)
    await this.#call('open')
    const real = await this.#real.open(path, flags, mode)
    // Node's `close` waits for calls that are under way; so they must be, though they are held here.
    const underWay = new Set<Promise<unknown>>()
    const track = async <Result>(work: Promise<Result>): Promise<Result> => {
      underWay.add(work)
      try {
        return await work
      } finally {
        underWay.delete(work)
      }
    }
    return {
      writev: (buffers, position) => track(this.#writev(real, buffers, position)),
      read: (into, offset, length, position) => track(this.#read(real, into, offset, length, position)),
      truncate: async (bytes) => {
        await this.#call('truncate')
        return real.truncate(bytes)
      },
      close: async () => {
        await Promise.allSettled(underWay)
        try {
          await this.#call('close')
        } finally {
          await real.close()
        }
      },
    }
  }

  async #writev(real: ScratchHandle, buffers: readonly Buffer[], position: number) {
    await this.#call('writev')
    const bytes = Buffer.concat(buffers)
    const result = await real.writev(
      bytes.length > this.mostBytes ? [bytes.subarray(0, this.mostBytes)] : buffers,
      position,
    )
    this.#writes += 1
    for (const { resolve } of this.#awaited.filter(({ writes }) => writes === this.#writes)) resolve()
    return result
  }

  async #read(real: ScratchHandle, into: Buffer, offset: number, length: number, position: number) {
    await this.#call('read')
    return real.read(into, offset, Math.min(length, this.mostBytes), position)
  }

  async unlink(path: string): Promise<void> {
    await this.#call('unlink')
    return this.#real.unlink(path)
  }

  async statfs(path: string) {
    await this.#call('statfs')
    return this.space?.() ?? this.#real.statfs(path)
  }

  async #call(call: DiskCall): Promise<void> {
    this.calls.push(call)
    await this.before(call)
  }
}

/** Files without a system. Its size has no limit; `OddDisk` around it can give it one. */
export class MemoryDisk implements ScratchDisk {
  /** Bytes that open files occupy, holes apart. */
  usedBytes = 0
  openFiles = 0

  async open(): Promise<ScratchHandle> {
    let content = Buffer.alloc(0)
    let isClosed = false
    this.openFiles += 1
    return {
      writev: async (buffers, position) => {
        if (isClosed) throw systemError('EBADF')
        const bytes = Buffer.concat(buffers)
        const grown = Buffer.alloc(Math.max(content.length, position + bytes.length))
        content.copy(grown)
        bytes.copy(grown, position)
        this.usedBytes += grown.length - content.length
        content = grown
        return { bytesWritten: bytes.length }
      },
      read: async (into, offset, length, position) => ({
        bytesRead: content.copy(into, offset, position, position + length),
      }),
      truncate: async (bytes) => {
        this.usedBytes -= content.length - bytes
        content = content.subarray(0, bytes)
      },
      close: async () => {
        isClosed = true
        this.usedBytes -= content.length
        this.openFiles -= 1
      },
    }
  }

  async unlink(): Promise<void> {}

  async statfs() {
    return { bavail: 1024 ** 2, blocks: 1024 ** 2, bsize: 1024 ** 2 }
  }
}
