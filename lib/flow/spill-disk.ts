/**
 * The part of a spill that is on disk: a queue of records in a row of unlinked files.
 *
 *     segment │ record │ record │ …    closed when its last record was read:
 *     segment │ record │ …             its disk is free at once
 *
 * A record is what was written in one go, and is read back in one go. Its length and its
 * checksum stay in memory: a page that the system could not write and then forgot reads
 * back without an error, as something else.
 *
 * What counts against the bound is what lies on the disk, read already or not, and what
 * is being written. Nothing is decided here about when to spill.
 */

import { crc32 } from 'node:zlib'

import { BackupError } from '../errors/index.ts'
import { ScratchDirectory, type ScratchFile, type ScratchSettings } from '../scratch/index.ts'
import { LentBuffers } from './lent-buffers.ts'

export interface SpillDiskSettings extends ScratchSettings {
  /** Most bytes of disk in use at a time. */
  readonly maxBytes: number
  /** Size of one file. Left out: a 64th of `maxBytes`, but 4 MiB at least; so 64 files at most are open. */
  readonly segmentBytes?: number
  /** Most bytes in one record. */
  readonly recordBytes: number
}

/** Bytes on their way to the disk. */
export interface SpillBatch {
  readonly buffers: readonly Buffer[]
  readonly bytes: number
  /** Set while it is being written: the consumer was faster, and nobody will read it back. */
  taken: boolean
}

/** Bounds the files that are open; 1.6 % of the bound is what a segment that is read last keeps occupied. */
const SEGMENTS = 64
const MIN_SEGMENT_BYTES = 4 * 1024 * 1024

/** Records that were read, kept to be read into again: the one that is sent, the one behind it, and some to come. */
const MAX_FREE = 4

interface Record {
  readonly position: number
  readonly bytes: number
  readonly checksum: number
}

interface Segment {
  readonly file: ScratchFile
  readonly records: Record[]
  /** Also while a record is being written: then up to its end. */
  writtenTo: number
}

export class SpillDisk {
  readonly #directory: ScratchDirectory
  readonly #maxBytes: number
  readonly #segmentBytes: number
  readonly #segments: Segment[] = []
  readonly #buffers: LentBuffers
  #writing: Segment | 'new' | undefined
  #occupiedBytes = 0
  #peakBytes = 0
  #closed = false
  #closings: Promise<unknown> = Promise.resolve()

  constructor(settings: SpillDiskSettings) {
    const { maxBytes, segmentBytes = Math.max(Math.ceil(maxBytes / SEGMENTS), MIN_SEGMENT_BYTES) } = settings
    this.#directory = new ScratchDirectory(settings)
    this.#maxBytes = maxBytes
    this.#segmentBytes = segmentBytes
    this.#buffers = new LentBuffers(settings.recordBytes, MAX_FREE)
  }

  /** Disk in use, with what is being written. */
  get occupiedBytes(): number {
    return this.#occupiedBytes
  }

  get peakBytes(): number {
    return this.#peakBytes
  }

  /** Whether `next` has something to read. */
  get hasRecords(): boolean {
    return this.#segments.some(({ records }) => records.length > 0)
  }

  /** Most bytes that the next record may have; 0 when the bound is reached. */
  get roomBytes(): number {
    const last = this.#segments.at(-1)
    const inSegment = last === undefined ? 0 : this.#segmentBytes - last.writtenTo
    return Math.min(inSegment === 0 ? this.#segmentBytes : inSegment, this.#maxBytes - this.#occupiedBytes)
  }

  /**
   * Writes one record, of `roomBytes` and `recordBytes` at most. One call at a time; `next` may run meanwhile.
   *
   * @throws BackupError `SCRATCH_NO_ROOM`, `SCRATCH_IO`; the disk is then as it was before
   */
  async append(batch: SpillBatch): Promise<void> {
    let segment = this.#segments.at(-1)
    if (segment !== undefined && segment.writtenTo >= this.#segmentBytes) segment = undefined
    this.#writing = segment ?? 'new'
    this.#occupy(batch.bytes)
    let isWritten = false
    try {
      segment ??= await this.#openSegment()
      this.#writing = segment
      const position = segment.writtenTo
      segment.writtenTo += batch.bytes
      try {
        await segment.file.write(batch.buffers, position)
      } catch (error) {
        segment.writtenTo = position
        throw error
      }
      // Closed meanwhile: then nobody will read it, and below the file is given back, even one that was just made.
      if (batch.taken || this.#closed) {
        segment.writtenTo = position
        return
      }
      const checksum = batch.buffers.reduce((sum, buffer) => crc32(buffer, sum), 0)
      segment.records.push({ position, bytes: batch.bytes, checksum })
      isWritten = true
    } finally {
      if (!isWritten) this.#occupy(-batch.bytes)
      this.#writing = undefined
      if (segment !== undefined) await this.#giveBackIfDrained(segment)
    }
  }

  /**
   * The oldest record, in a buffer of its own until it is given back. One call at a time, and only when `hasRecords`.
   *
   * @throws BackupError `SCRATCH_IO` when the disk does not give back what it was given
   */
  async next(): Promise<Buffer> {
    const segment = this.#segments.find(({ records }) => records.length > 0)
    const record = segment?.records[0]
    if (segment === undefined || record === undefined) throw new Error('bug: nothing is spilled')
    const buffer = this.#buffers.take()
    const bytes = await segment.file.read(record.bytes, record.position, buffer)
    if (crc32(bytes) !== record.checksum) {
      const { directory } = this.#directory
      throw new BackupError(
        'SCRATCH_IO',
        `the disk of ${directory} gave back other bytes than it was given, at byte ${record.position} of a scratch file`,
        { directory, position: record.position, bytes: record.bytes },
        { hint: 'the kernel log says what is wrong with the disk; name another one with --spool-dir' },
      )
    }
    segment.records.shift()
    await this.#giveBackIfDrained(segment)
    return this.#buffers.lend(buffer, bytes.length)
  }

  /** As `LentBuffers.takeBack`, for what `next` has returned. Never necessary. */
  takeBack(views: readonly Buffer[]): void {
    this.#buffers.takeBack(views)
  }

  /** Gives everything back, for good. Safe while a record is written or read. */
  async close(): Promise<void> {
    this.#closed = true
    this.#occupiedBytes = 0
    for (const { file } of this.#segments.splice(0)) void this.#discard(file)
    await this.#closings
  }

  async #openSegment(): Promise<Segment> {
    const segment: Segment = { file: await this.#directory.open(), records: [], writtenTo: 0 }
    this.#segments.push(segment)
    return segment
  }

  async #giveBackIfDrained(segment: Segment): Promise<void> {
    const at = this.#segments.indexOf(segment)
    if (at === -1 || segment.records.length > 0 || segment === this.#writing) return
    this.#segments.splice(at, 1)
    // First the disk, then the count: nobody is told of room that is not there yet.
    await this.#discard(segment.file)
    this.#occupy(-segment.writtenTo)
  }

  async #discard(file: ScratchFile): Promise<void> {
    const closing = file.close()
    this.#closings = Promise.all([this.#closings, closing])
    await closing
  }

  #occupy(bytes: number): void {
    if (this.#closed) return
    this.#occupiedBytes += bytes
    this.#peakBytes = Math.max(this.#peakBytes, this.#occupiedBytes)
  }
}
