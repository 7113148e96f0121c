/**
 * Where files wait that cannot go into the archive yet, and the bound on what they take.
 *
 *     open        their end has not been seen        memory, or a run of their own in the spool
 *     finished    a big member is being written      memory, or one run that they share
 *
 * Memory is given up in this order: a file that outgrows its share goes to the spool;
 * when all together outgrow the bound, the finished files do, oldest first, and then
 * the largest open one. Finished files leave in the order in which they were finished.
 */

import type { MemoryAccount } from './memory-account.ts'
import type { Spool, SpoolRun } from './spool.ts'
import { UnsizedFile } from './unsized-file.ts'

/** The part of the bound that one file may take: the rest is for those that come beside it. */
const SHARE = 4

/** Accounted for a finished file beside its bytes: its name and this room's notes on it, roughly. */
const NOTE_BYTES = 512

export class WaitingRoom {
  readonly #memoryBytes: number
  readonly #spool: Spool
  readonly #account: MemoryAccount
  readonly #open = new Map<string, UnsizedFile>()
  #finished: UnsizedFile[] = []
  #leaving = 0 // index in #finished of the next to leave
  #sharedRun: SpoolRun | undefined
  #firstInMemory = 0 // index in #finished: those before it have been moved, or had been spooled before

  /** @param account of this room, and of what else waits in memory */
  constructor(memoryBytes: number, spool: Spool, account: MemoryAccount) {
    this.#memoryBytes = memoryBytes
    this.#spool = spool
    this.#account = account
  }

  /** The most that ever was held in memory. */
  get peakMemoryBytes(): number {
    return this.#account.peakBytes
  }

  /** Bytes that ever were kept here as views, and not copied or written to the disk. */
  get viewBytes(): number {
    return this.#account.viewBytes
  }

  /** What one file may take at most. */
  get shareBytes(): number {
    return this.#memoryBytes / SHARE
  }

  /** Whether something of this file waits here. */
  has(path: string): boolean {
    return this.#open.has(path)
  }

  /** Whether so much more may wait in memory, and nothing has to go to the spool for that. */
  hasRoomFor(bytes: number): boolean {
    return this.#account.bytes + bytes <= this.#memoryBytes
  }

  /** The file with this name; a new and empty one when it has not been seen. */
  open(path: string): UnsizedFile {
    const known = this.#open.get(path)
    if (known !== undefined) return known
    const file = new UnsizedFile(path, this.#account)
    this.#open.set(path, file)
    return file
  }

  /** Whether a file that takes these bytes too would have more than its share of the memory. */
  wouldOutgrow(file: UnsizedFile, bytes: Buffer): boolean {
    return file.memoryBytes + file.memoryBytesFor(bytes) > this.shareBytes
  }

  /** @throws BackupError `ARCHIVE_SPOOL_FULL`, `ARCHIVE_SPOOL_IO` */
  async append(file: UnsizedFile, bytes: Buffer): Promise<void> {
    if (!file.isSpooled && this.wouldOutgrow(file, bytes)) await file.moveTo(this.#spool.run())
    await this.#makeRoom(file.memoryBytesFor(bytes))
    await file.append(bytes)
  }

  /** Hands a file over: it is no longer waiting here. */
  release(path: string): UnsizedFile {
    const file = this.open(path)
    this.#open.delete(path)
    return file
  }

  /** Its end has been seen, but it cannot leave. */
  async keepFinished(file: UnsizedFile): Promise<void> {
    this.#finished.push(file)
    await this.#makeRoom(NOTE_BYTES)
    this.#account.add(NOTE_BYTES)
  }

  /** The finished files, oldest first. Each is to be drained before the next is asked for. */
  *leave(): Generator<UnsizedFile, void, undefined> {
    for (; this.#leaving < this.#finished.length; this.#leaving += 1) {
      const file = this.#finished[this.#leaving]
      if (file !== undefined) yield file
      this.#account.subtract(NOTE_BYTES)
    }
    this.#finished = []
    this.#leaving = 0
    this.#firstInMemory = 0
    this.#sharedRun = undefined
  }

  async #makeRoom(bytes: number): Promise<void> {
    while (!this.hasRoomFor(bytes)) {
      const finished = this.#finished[this.#firstInMemory]
      if (finished !== undefined) {
        this.#firstInMemory += 1
        this.#sharedRun ??= this.#spool.run()
        // An empty one has nothing to give, and one that was spooled while it was open stays where it is.
        if (finished.memoryBytes > 0) await finished.moveTo(this.#sharedRun)
        continue
      }
      const largest = this.#largestOpen()
      if (largest === undefined) return // only notes are left
      await largest.moveTo(this.#spool.run())
    }
  }

  #largestOpen(): UnsizedFile | undefined {
    let largest: UnsizedFile | undefined
    for (const file of this.#open.values()) {
      if (file.memoryBytes > (largest?.memoryBytes ?? 0)) largest = file
    }
    return largest
  }
}
