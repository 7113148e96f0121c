/**
 * Bytes that must wait and do not fit into memory, on a disk that nobody else sees.
 *
 *     spool file   │ block │ block │ block │ block │ …      at most maxBytes
 *     run A          0               2                      appended to, then
 *     run B                  1               3              read once, in order
 *
 * One file without a name: whatever kills the process, nothing stays behind. A block is
 * given back as soon as it has been read, and the next run takes it.
 *
 * Used by one flow of control: calls on a spool and its runs must not overlap.
 */

import { BackupError } from '../errors/index.ts'
import { ScratchDirectory, type ScratchFile, type ScratchSettings } from '../scratch/index.ts'

/** Nothing is created in the directory before it is needed. */
export interface SpoolSettings extends ScratchSettings {
  /** Most bytes of disk in use at a time. */
  readonly maxBytes: number
}

/** The unit that is taken and given back. Also the largest read, so it bounds the memory a read takes. */
export const SPOOL_BLOCK_BYTES = 256 * 1024

export class Spool {
  readonly #settings: SpoolSettings
  readonly #maxBlocks: number
  readonly #free: number[] = []
  #blocks = 0 // ever taken since the file was last empty
  #file: ScratchFile | undefined
  #peakBytes = 0
  #writtenBytes = 0
  #closed: Promise<void> | undefined

  constructor(settings: SpoolSettings) {
    this.#settings = settings
    this.#maxBlocks = Math.floor(settings.maxBytes / SPOOL_BLOCK_BYTES)
  }

  /** Disk in use now, in whole blocks. */
  get usedBytes(): number {
    return (this.#blocks - this.#free.length) * SPOOL_BLOCK_BYTES
  }

  /** The most that ever was in use. */
  get peakBytes(): number {
    return this.#peakBytes
  }

  /** Everything that ever was written, also where something had stood before. */
  get writtenBytes(): number {
    return this.#writtenBytes
  }

  /** A new, empty run. It costs nothing until something is appended. */
  run(): SpoolRun {
    return new SpoolRun(this)
  }

  /**
   * Gives the disk back. Runs cannot be read any more.
   *
   * Safe to call more than once, each call waits until it is done, and while something is written or read.
   */
  close(): Promise<void> {
    this.#closed ??= this.#file?.close() ?? Promise.resolve()
    return this.#closed
  }

  /**
   * For runs: takes a block.
   *
   * @throws BackupError `ARCHIVE_SPOOL_FULL` when the limit is reached
   */
  takeBlock(): number {
    const freed = this.#free.pop()
    if (freed === undefined && this.#blocks >= this.#maxBlocks) {
      const { maxBytes } = this.#settings
      throw new BackupError(
        'ARCHIVE_SPOOL_FULL',
        `the spool in ${this.#settings.directory} is full: ${this.usedBytes} of ${maxBytes} bytes are in use`,
        { directory: this.#settings.directory, usedBytes: this.usedBytes, maxBytes, blockBytes: SPOOL_BLOCK_BYTES },
        { hint: 'raise the limit with --spool-bytes, or let the backup run while less is written to the server' },
      )
    }
    const block = freed ?? this.#blocks++
    this.#peakBytes = Math.max(this.#peakBytes, this.usedBytes)
    return block
  }

  /** For runs: gives blocks back. When all are back, the disk is given back too. */
  async giveBlock(block: number): Promise<void> {
    this.#free.push(block)
    if (this.#free.length < this.#blocks) return
    this.#free.length = 0
    this.#blocks = 0
    await this.#using((file) => file.empty())
  }

  /** For runs. */
  async write(bytes: Buffer, position: number): Promise<void> {
    await this.#using((file) => file.write([bytes], position))
    this.#writtenBytes += bytes.length
  }

  /** For runs: a buffer of its own for every read, because it goes out to the consumer. */
  read(length: number, position: number): Promise<Buffer> {
    return this.#using((file) => file.read(length, position))
  }

  async #using<Result>(work: (file: ScratchFile) => Promise<Result>): Promise<Result> {
    try {
      return await work(this.#file ?? (await this.#open()))
    } catch (cause) {
      if (!(cause instanceof BackupError) || cause.code === 'ARCHIVE_SPOOL_IO') throw cause
      throw new BackupError(
        'ARCHIVE_SPOOL_IO',
        `the spool cannot be used: ${cause.message}`,
        { ...cause.facts, usedBytes: this.usedBytes },
        { cause, ...(cause.hint === undefined ? {} : { hint: cause.hint }) },
      )
    }
  }

  async #open(): Promise<ScratchFile> {
    const { directory } = this.#settings
    if (this.#closed !== undefined) throw closed(directory)
    const file = await new ScratchDirectory(this.#settings).open()
    if (this.#closed !== undefined) {
      await file.close() // closed while it was being opened
      throw closed(directory)
    }
    this.#file = file
    return file
  }
}

const closed = (directory: string): BackupError =>
  new BackupError('ARCHIVE_SPOOL_IO', `the spool in ${directory} was closed`, { directory })

/** A queue of bytes in the spool: appended to at one end, read once from the other. */
export class SpoolRun {
  readonly #spool: Spool
  readonly #blocks: number[] = []
  #readFrom = 0 // in the first block
  #writtenTo = SPOOL_BLOCK_BYTES // in the last block; a full one makes the first append take a block

  /** For `Spool.run`. */
  constructor(spool: Spool) {
    this.#spool = spool
  }

  /** @throws BackupError `ARCHIVE_SPOOL_FULL`, `ARCHIVE_SPOOL_IO` */
  async append(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#writtenTo === SPOOL_BLOCK_BYTES) {
        this.#blocks.push(this.#spool.takeBlock())
        this.#writtenTo = 0
      }
      const part = bytes.subarray(at, at + SPOOL_BLOCK_BYTES - this.#writtenTo)
      await this.#spool.write(part, (this.#blocks.at(-1) ?? 0) * SPOOL_BLOCK_BYTES + this.#writtenTo)
      this.#writtenTo += part.length
      at += part.length
    }
  }

  /** Reads the next `length` bytes, which must have been appended, and gives their disk back on the way. */
  async *take(length: number): AsyncGenerator<Buffer> {
    for (let left = length; left > 0; ) {
      const [first] = this.#blocks
      if (first === undefined) throw new Error(`bug: ${left} bytes wanted from an empty spool run`)
      const filledTo = this.#blocks.length === 1 ? this.#writtenTo : SPOOL_BLOCK_BYTES
      const bytes = await this.#spool.read(
        Math.min(left, filledTo - this.#readFrom),
        first * SPOOL_BLOCK_BYTES + this.#readFrom,
      )
      left -= bytes.length
      this.#readFrom += bytes.length
      if (this.#readFrom === filledTo) {
        this.#blocks.shift()
        this.#readFrom = 0
        if (this.#blocks.length === 0) this.#writtenTo = SPOOL_BLOCK_BYTES
        await this.#spool.giveBlock(first)
      }
      yield bytes
    }
  }
}
