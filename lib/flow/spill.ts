/**
 * Stands between a producer that must never wait and a consumer that may be slow.
 *
 *     producer ─▶ back ──▶ disk ──▶ front ─▶ consumer
 *                   └── nothing on disk ──▶┘
 *
 * The producer is the backup program, which holds locks on a server in production; the
 * consumer is a network. Bytes wait in memory, up to half of its bound; then what comes
 * is written to disk, while the oldest bytes stay in memory, ready; when the disk has
 * reached its bound, the rest of the memory fills; and only then the producer waits.
 * While the consumer keeps up nothing is copied, and nothing is on disk.
 *
 * A disk that is full, that breaks or that hangs never fails the backup: it is full, no
 * more. What is still in memory stays there, and another try is made when something has
 * drained. Only bytes that are on the disk and do not come back are an error.
 *
 * One producer, one consumer. No log; clock and randomness are passed in.
 */

import { BackupError } from '../errors/index.ts'
import type { ScratchSettings } from '../scratch/index.ts'
import { type SpillBatch, SpillDisk } from './spill-disk.ts'
import { ByteQueue } from './spill-queue.ts'

export interface SpillPlace {
  /** Must exist, and be writable for nobody whom we do not trust. */
  readonly directory: string
  /** Most bytes of disk in use at a time. */
  readonly maxBytes: number
  /** Left out: see `SpillDiskSettings`. */
  readonly segmentBytes?: number
  /** Most bytes that are written, and read, in one go. Left out: `SPILL_RECORD_BYTES`. */
  readonly recordBytes?: number
}

export interface SpillOptions {
  /** Most bytes in memory, apart from the piece the consumer has and the record that is being read for it. */
  readonly memoryBytes: number
  /** Left out or with `maxBytes` 0: memory only. */
  readonly disk?: SpillPlace | undefined
  /** For names of files. Left out: that of `node:crypto`. */
  readonly random?: ScratchSettings['random']
  /** A monotonic clock, milliseconds. */
  readonly nowMs: () => number
  /** Called when one of `spilling`, `full`, `producerWaitingSinceMs` (there or not) and `diskProblem` has changed. Must not throw. */
  readonly onChange?: ((state: SpillState) => void) | undefined
  /**
   * Called with pushed bytes that are on the disk now: they come back as others, nobody will be handed these. What was
   * handed out from memory while it was written is not among them. Must not throw.
   */
  readonly onStored?: ((pushed: readonly Buffer[]) => void) | undefined
  /** Another system than the real one, for tests. */
  readonly system?: ScratchSettings['disk']
}

/** How things stand. A snapshot. */
export interface SpillState {
  /** Bytes taken from the producer, and handed to the consumer, since the beginning. */
  readonly bytesIn: number
  readonly bytesOut: number
  readonly memoryBytes: number
  /** Disk in use, also by what was read already from a file that is not drained yet. */
  readonly diskBytes: number
  readonly peakMemoryBytes: number
  readonly peakDiskBytes: number
  /** Something is on disk, or on its way there. */
  readonly spilling: boolean
  /** The producer waits, and nothing but the consumer can end that. */
  readonly full: boolean
  /** On the clock passed in. Also while it waits for the disk alone. */
  readonly producerWaitingSinceMs: number | undefined
  /** Why the disk takes nothing at the moment, though its bound is not reached. */
  readonly diskProblem: BackupError | undefined
}

/** Size of a record: large enough for the disk's full speed, small enough to wait for. Measured: see `test/flow/spill-speed.ts`. */
export const SPILL_RECORD_BYTES = 512 * 1024

/** The memory that may fill before the disk is used. The rest takes what comes while the disk is written. */
const SPILL_FROM = 1 / 2
const SPILL_EARLY_FROM = 1 / 16

/** What ended the spill before its end. In an object, because anything can be thrown, `undefined` too. */
interface Failure {
  readonly error: unknown
}

export class Spill implements AsyncIterable<Buffer> {
  readonly #memoryLimitBytes: number
  readonly #disk: SpillDisk | undefined
  readonly #recordBytes: number
  readonly #nowMs: () => number
  readonly #onChange: ((state: SpillState) => void) | undefined
  readonly #onStored: ((pushed: readonly Buffer[]) => void) | undefined

  readonly #front = new ByteQueue() // older than what is on disk
  readonly #back = new ByteQueue() // newer
  #batch: SpillBatch | undefined // between the two: from `#back`, on its way to the disk
  #writing: Promise<void> = Promise.resolve()
  #waiting: { rest: Buffer; readonly sinceMs: number; readonly resolve: () => void } | undefined

  #isEarly = false
  #diskProblem: BackupError | undefined
  #ended = false
  #failure: Failure | undefined
  #closed = false
  #isConsumed = false
  #wakeConsumer: () => void = () => {}

  #bytesIn = 0
  #bytesOut = 0
  #peakMemoryBytes = 0
  #announced: string

  constructor({ memoryBytes, disk, random, nowMs, onChange, onStored, system }: SpillOptions) {
    if (!(memoryBytes >= 2)) throw new RangeError(`bug: a spill needs memory, found ${memoryBytes} bytes`)
    this.#memoryLimitBytes = memoryBytes
    const recordBytes = disk?.recordBytes ?? SPILL_RECORD_BYTES
    const settings =
      disk === undefined || disk.maxBytes === 0 ? undefined : { ...disk, recordBytes, random, disk: system }
    this.#disk = settings === undefined ? undefined : new SpillDisk(settings)
    this.#recordBytes = recordBytes
    this.#nowMs = nowMs
    this.#onChange = onChange
    this.#onStored = onStored
    this.#announced = this.#standing
  }

  get state(): SpillState {
    return {
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      memoryBytes: this.#memoryBytes,
      diskBytes: this.#disk?.occupiedBytes ?? 0,
      peakMemoryBytes: this.#peakMemoryBytes,
      peakDiskBytes: this.#disk?.peakBytes ?? 0,
      spilling: this.#isSpilling,
      full: this.#isFull,
      producerWaitingSinceMs: this.#waiting?.sinceMs,
      diskProblem: this.#diskProblem,
    }
  }

  /**
   * Takes the bytes, and keeps the buffer: the producer must not write into it any more.
   * They may be more than the bound; the part that has no room waits with the producer.
   *
   * @returns at once while there is room; else when the last byte has found room. After
   *   `fail` and `close`, and when one of the two ends the waiting, the bytes go nowhere:
   *   whoever called it knows.
   */
  push(bytes: Buffer): Promise<void> {
    if (this.#waiting !== undefined || this.#ended) {
      throw new Error(`bug: a spill was fed while ${this.#ended ? 'ended' : 'waiting'}`)
    }
    if (this.#isOver || bytes.length === 0) return Promise.resolve()
    const rest = this.#admit(bytes)
    if (rest.length === 0) {
      this.#settle()
      return Promise.resolve()
    }
    return new Promise((resolve) => {
      this.#waiting = { rest, sinceMs: this.#nowMs(), resolve }
      this.#settle()
    })
  }

  /** No more bytes will come. The consumer gets everything that is there, and then the end. */
  end(): void {
    if (this.#waiting !== undefined) throw new Error('bug: a spill was ended while bytes wait for room')
    this.#ended = true
    this.#wakeConsumer()
  }

  /**
   * Ends everything at once: the consumer's next pull throws `error`, whatever waits is
   * dropped, the disk is given back. The first call counts; after the last byte was
   * handed out it changes nothing.
   */
  fail(error: unknown): void {
    if (this.#isOver) return
    this.#failure = { error }
    this.#drop()
  }

  /** Lets the disk take over before half of the memory is full, so that there is more of it for a sudden rush. */
  spillEarly(on: boolean): void {
    this.#isEarly = on
    this.#settle()
  }

  /** As `LentBuffers.takeBack`, for what was read from disk; everything else is left alone. Never necessary. */
  takeBack(views: readonly Buffer[]): void {
    this.#disk?.takeBack(views)
  }

  /** Gives everything back: memory, disk, descriptors. A producer that waits may go on. Safe to call twice. */
  async close(): Promise<void> {
    this.#closed = true
    this.#drop()
    await this.#disk?.close()
    await this.#writing
  }

  /**
   * The bytes, in order: buffers as they were pushed, or records read from disk.
   *
   * @throws whatever `fail` was given; BackupError `SCRATCH_IO` when spilled bytes do not come back
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    if (this.#isConsumed) throw new Error('bug: a spill has one consumer')
    this.#isConsumed = true
    for (;;) {
      const piece = await this.#next()
      if (this.#failure !== undefined) throw this.#failure.error
      // Never an end: it would look like the end of the bytes.
      if (this.#closed) throw new Error('bug: a spill was closed before its consumer had everything')
      if (piece === undefined) {
        if (this.#bytesOut === this.#bytesIn) return
        throw new Error(`bug: a spill took ${this.#bytesIn} bytes and handed out ${this.#bytesOut}`)
      }
      this.#bytesOut += piece.length
      this.#settle()
      yield piece
    }
  }

  /** `undefined` at the end, however it came. */
  async #next(): Promise<Buffer | undefined> {
    while (!this.#isOver) {
      const piece = this.#front.shift()
      if (piece !== undefined) return piece
      if (this.#disk?.hasRecords === true) return this.#nextFromDisk(this.#disk)
      const batch = this.#batch
      if (batch !== undefined && !batch.taken) {
        // What is still being written is still in memory: a slow disk does not make the consumer wait.
        batch.taken = true
        for (const buffer of batch.buffers) this.#front.push(buffer)
      } else if (this.#back.bytes > 0) {
        // Not all of it: while the consumer pauses, what remains can still go to the disk and make room.
        for (const buffer of this.#back.take(Math.max(this.#spillFromBytes, 1))) this.#front.push(buffer)
      } else if (this.#ended) {
        return undefined
      } else {
        await new Promise<void>((resolve) => {
          this.#wakeConsumer = resolve
        })
      }
    }
    return undefined
  }

  async #nextFromDisk(disk: SpillDisk): Promise<Buffer | undefined> {
    const before = disk.occupiedBytes
    try {
      const bytes = await disk.next()
      // Where something was given back, there may be room again for us.
      if (disk.occupiedBytes < before) this.#diskProblem = undefined
      return bytes
    } catch (error) {
      this.fail(error) // of no effect when the disk was taken away because everything is over
      return undefined
    }
  }

  get #isOver(): boolean {
    return this.#failure !== undefined || this.#closed
  }

  get #memoryBytes(): number {
    const batch = this.#batch
    return this.#front.bytes + this.#back.bytes + (batch === undefined || batch.taken ? 0 : batch.bytes)
  }

  get #isSpilling(): boolean {
    return this.#disk?.hasRecords === true || this.#batch?.taken === false
  }

  get #isFull(): boolean {
    return this.#waiting !== undefined && this.#batch === undefined
  }

  get #spillFromBytes(): number {
    return Math.floor(this.#memoryLimitBytes * (this.#isEarly ? SPILL_EARLY_FROM : SPILL_FROM))
  }

  /** The front must leave memory for the back, or there were nothing that the disk could take. */
  get #frontRoomBytes(): number {
    return this.#disk === undefined ? Infinity : Math.max(this.#spillFromBytes - this.#front.bytes, 0)
  }

  /** Takes as much as there is memory for. @returns what it had no room for */
  #admit(bytes: Buffer): Buffer {
    const [part, rest] = cutAt(bytes, this.#memoryLimitBytes - this.#memoryBytes)
    const [older, newer] = cutAt(part, this.#back.bytes > 0 || this.#isSpilling ? 0 : this.#frontRoomBytes)
    this.#front.push(older)
    this.#back.push(newer)
    this.#bytesIn += part.length
    this.#peakMemoryBytes = Math.max(this.#peakMemoryBytes, this.#memoryBytes)
    return rest
  }

  /** After every change: lets in who waits, starts the disk, wakes the consumer, tells the observer. */
  #settle(): void {
    if (!this.#isOver) {
      this.#retryDisk()
      this.#letIn()
      this.#startWriting()
    }
    this.#wakeConsumer()
    this.#announce()
  }

  #letIn(): void {
    const waiting = this.#waiting
    if (waiting === undefined) return
    waiting.rest = this.#admit(waiting.rest)
    if (waiting.rest.length > 0) return
    this.#waiting = undefined
    waiting.resolve()
  }

  /** After a failure the disk gets its next chance when everything has drained to where spilling began. */
  #retryDisk(): void {
    if (this.#diskProblem !== undefined && !this.#isSpilling && this.#memoryBytes < this.#spillFromBytes) {
      this.#diskProblem = undefined
    }
  }

  #startWriting(): void {
    const disk = this.#disk
    if (disk === undefined || this.#batch !== undefined || this.#diskProblem !== undefined) return
    const bytes = Math.min(this.#recordBytes, disk.roomBytes)
    // Small pieces wait for each other, unless the producer waits for them.
    if (bytes <= 0 || this.#back.bytes < (this.#waiting === undefined ? bytes : 1)) return
    const buffers = this.#back.take(bytes)
    this.#batch = { buffers, bytes: Math.min(bytes, sum(buffers)), taken: false }
    this.#writing = this.#write(disk, this.#batch)
  }

  /** Never throws. */
  async #write(disk: SpillDisk, batch: SpillBatch): Promise<void> {
    try {
      await disk.append(batch)
      this.#batch = undefined
      // Taken meanwhile, it is somebody's who gives it back himself.
      if (!batch.taken) this.#onStored?.(batch.buffers)
    } catch (error) {
      this.#batch = undefined
      if (this.#isOver) return
      if (!batch.taken) this.#back.unshift(batch.buffers)
      if (error instanceof BackupError) this.#diskProblem = error
      else this.fail(error) // a bug, and allowed to look like one
    }
    this.#settle()
  }

  #drop(): void {
    this.#front.clear()
    this.#back.clear()
    if (this.#batch !== undefined) this.#batch.taken = true
    this.#waiting?.resolve()
    this.#waiting = undefined
    this.#wakeConsumer()
    void this.#disk?.close()
    this.#announce()
  }

  #announce(): void {
    if (this.#onChange === undefined) return
    const standing = this.#standing
    if (standing === this.#announced) return
    this.#announced = standing
    this.#onChange(this.state)
  }

  /** What is worth an announcement when it changes. */
  get #standing(): string {
    return `${this.#isSpilling} ${this.#isFull} ${this.#waiting !== undefined} ${this.#diskProblem?.code}`
  }
}

const NOTHING = Buffer.alloc(0)

/** What is whole stays the buffer that it is: no view is made where nothing is cut. */
const cutAt = (bytes: Buffer, at: number): [Buffer, Buffer] => {
  if (at >= bytes.length) return [bytes, NOTHING]
  return at === 0 ? [NOTHING, bytes] : [bytes.subarray(0, at), bytes.subarray(at)]
}

const sum = (buffers: readonly Buffer[]): number => buffers.reduce((bytes, { length }) => bytes + length, 0)
