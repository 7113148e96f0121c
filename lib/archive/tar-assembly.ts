/**
 * Decides when each file of an xbstream goes into the tar, and with which size.
 *
 * tar wants a member's size before its bytes; an xbstream says it after them, and mixes
 * files besides. Three rules, in this order:
 *
 * 1. The file ends while it fits into memory: its size is known then. Nearly all files.
 * 2. A tablespace, or a locked table at rest, that does not fit, if no other member is being
 *    written: `sizeOf` is asked once, and the file is written while it comes. When a
 *    tablespace stops short, zero pages fill it up and that is recorded; when a table
 *    does, or either goes on, the archive has failed.
 * 3. Everything else, the redo log always, goes to the spool until it ends.
 *
 * Beside them, for a file of a few kilobytes that stands whole in one chunk of the stream:
 * its bytes pass from the chunk into the archive, and are held nowhere.
 *
 * What a method makes is `ready` in the writer when it returns. Where that takes time, or is
 * much, it returns the bytes to be yielded instead; they leave before more is taken.
 * That zeros are harmless behind a tablespace is said in PROTOCOL.md, "The archive".
 */

import { BackupError } from '../errors/index.ts'
import { isLockedTable } from './locked-table.ts'
import { MemoryAccount } from './memory-account.ts'
import { PassingFile } from './passing-file.ts'
import { showPath } from './safe-path.ts'
import type { Spool } from './spool.ts'
import { isTablespace } from './tablespace.ts'
import type { TarHeader, TarWriter } from './tar-writer.ts'
import type { PaddedMember } from './types.ts'
import type { UnsizedFile } from './unsized-file.ts'
import { WaitingRoom } from './waiting-room.ts'

/** Permissions of a member, as the server creates its own files without looking at the umask of who unpacks. */
const MODE = 0o640
const OWNER = 'mysql'

const ZEROS = Buffer.alloc(64 * 1024)

/** What passes, or is taken out of memory, in one go. */
const SMALL_FILE_BYTES = 64 * 1024

/** Bytes of the archive that are still being made. Undefined: everything is `ready`. */
type More = AsyncGenerator<Buffer> | undefined

export interface TarAssemblyOptions {
  readonly memoryBytes: number
  readonly mtimeMs: number
  /** Size of the source file while the backup program still has it open; undefined when that cannot be said. */
  sizeOf(path: string): number | undefined
  /** Likewise, but undefined too when somebody has written to it lately. */
  restingSizeOf?: ((path: string) => number | undefined) | undefined
  /** Told when the last byte of a member was produced. */
  onMember?: ((path: string, sizeBytes: number) => void) | undefined
}

export class TarAssembly {
  readonly #writer: TarWriter
  readonly #room: WaitingRoom
  readonly #options: TarAssemblyOptions
  readonly #padded: PaddedMember[] = []
  /** The file that is written while it comes. */
  #streamed: { readonly path: string; readonly sizeBytes: number } | undefined
  readonly #passing: PassingFile

  constructor(writer: TarWriter, spool: Spool, options: TarAssemblyOptions) {
    this.#writer = writer
    const account = new MemoryAccount()
    this.#room = new WaitingRoom(options.memoryBytes, spool, account)
    this.#passing = new PassingFile(account)
    this.#options = options
  }

  get padded(): readonly PaddedMember[] {
    return this.#padded
  }

  get peakMemoryBytes(): number {
    return this.#room.peakMemoryBytes
  }

  /**
   * Bytes of which a view was kept or passed on, since the beginning. What else was given to `take` was copied, or written
   * to the disk, when `settle` has returned and its bytes were taken.
   */
  get viewBytes(): number {
    return this.#room.viewBytes + this.#writer.passedBytes
  }

  /** Bytes of a file. They are lent until `settle`: what is kept then is copied, or the whole chunk is. */
  take(path: string, bytes: Buffer): More {
    if (this.#streamed?.path === path) {
      this.#write(bytes)
      return undefined
    }
    if (this.#streamed !== undefined) return this.#keep(path, bytes)
    const passing = this.#passing
    const isNew = passing.path === undefined && !this.#room.has(path)
    if (!isNew && passing.path !== path) return this.#keep(path, bytes)
    const sizeBytes = bytes.length + passing.sizeBytes
    if (sizeBytes > SMALL_FILE_BYTES || sizeBytes > this.#room.shareBytes) return this.#keep(path, bytes)
    passing.take(path, bytes)
    return undefined
  }

  /** A file that is whole: as `take` and `end`. */
  takeWhole(path: string, bytes: Buffer): More {
    if (this.#streamed !== undefined || bytes.length > SMALL_FILE_BYTES || bytes.length > this.#room.shareBytes) {
      return this.#takeAndEnd(path, bytes)
    }
    this.#writer.member(this.#header(path, bytes.length), bytes)
    this.#options.onMember?.(path, bytes.length)
    return undefined
  }

  async *#takeAndEnd(path: string, bytes: Buffer): AsyncGenerator<Buffer> {
    const more = this.take(path, bytes)
    if (more !== undefined) yield* more
    const rest = this.end(path)
    if (rest !== undefined) yield* rest
  }

  /** The chunk that the bytes were lent from is going to be taken away. */
  settle(): More {
    const passing = this.#passing
    if (passing.path === undefined) return undefined
    return this.#room.hasRoomFor(passing.lentBytes) && passing.hold() ? undefined : this.#keepPassing()
  }

  async *#keepPassing(): AsyncGenerator<Buffer> {
    const { path } = this.#passing
    if (path === undefined) return
    for (const bytes of this.#passing.leave()) yield* this.#hold(path, bytes)
  }

  async *#keep(path: string, bytes: Buffer): AsyncGenerator<Buffer> {
    yield* this.#keepPassing()
    yield* this.#hold(path, bytes)
  }

  async *#hold(path: string, bytes: Buffer): AsyncGenerator<Buffer> {
    if (this.#streamed?.path === path) {
      this.#write(bytes)
      yield* this.#writer.ready()
      return
    }
    const file = this.#room.open(path)
    if (this.#streamed === undefined && !file.isSpooled && this.#room.wouldOutgrow(file, bytes)) {
      const sizeBytes = this.#sizeAhead(path)
      if (sizeBytes !== undefined && sizeBytes >= file.sizeBytes + bytes.length) {
        this.#streamed = { path, sizeBytes }
        this.#room.release(path)
        this.#writer.openMember(this.#header(path, sizeBytes))
        for await (const held of file.drain()) yield* this.#written(held)
        yield* this.#written(bytes)
        return
      }
    }
    await this.#room.append(file, bytes)
  }

  #sizeAhead(path: string): number | undefined {
    if (isTablespace(path)) return this.#options.sizeOf(path)
    return isLockedTable(path) ? this.#options.restingSizeOf?.(path) : undefined
  }

  /** Zero bytes of a file that the xbstream left out. They are written in full: a plain tar has no holes. */
  async *takeHole(path: string, zeroBytes: number): AsyncGenerator<Buffer> {
    for (const zeros of zeroPieces(zeroBytes)) {
      const more = this.take(path, zeros)
      if (more !== undefined) yield* more
      yield* this.#writer.ready()
    }
  }

  /** The file is whole. */
  end(path: string): More {
    if (this.#passing.path === path) {
      const { sizeBytes } = this.#passing
      this.#member(path, sizeBytes, this.#passing.leave())
      return undefined
    }
    if (this.#streamed !== undefined) return this.#endBeside(this.#streamed, path)
    const file = this.#room.release(path)
    if (file.isSpooled || file.sizeBytes > SMALL_FILE_BYTES) return this.#largeMember(file)
    this.#member(path, file.sizeBytes, file.drainMemory())
    return undefined
  }

  async *#endBeside(streamed: { path: string; sizeBytes: number }, path: string): AsyncGenerator<Buffer> {
    if (streamed.path === path) {
      yield* this.#endStreamed(streamed)
      for (const file of this.#room.leave()) yield* this.#largeMember(file)
    } else {
      await this.#room.keepFinished(this.#room.release(path))
    }
  }

  /** A member whose size is known because it has ended. */
  #member(path: string, sizeBytes: number, pieces: Iterable<Buffer>): void {
    this.#writer.openMember(this.#header(path, sizeBytes))
    for (const bytes of pieces) this.#writer.write(bytes)
    this.#writer.closeMember()
    this.#options.onMember?.(path, sizeBytes)
  }

  /** Likewise, its bytes leaving as they are taken out of where they were. */
  async *#largeMember(file: UnsizedFile): AsyncGenerator<Buffer> {
    this.#writer.openMember(this.#header(file.path, file.sizeBytes))
    for await (const bytes of file.drain()) yield* this.#written(bytes)
    this.#writer.closeMember()
    yield* this.#writer.ready()
    this.#options.onMember?.(file.path, file.sizeBytes)
  }

  async *#endStreamed({ path, sizeBytes }: { path: string; sizeBytes: number }): AsyncGenerator<Buffer> {
    const zeroBytes = this.#writer.left
    if (zeroBytes > 0) {
      if (!isTablespace(path)) throw shorter(path, sizeBytes, zeroBytes)
      this.#padded.push({ path, zeroBytes })
    }
    for (const zeros of zeroPieces(zeroBytes)) yield* this.#written(zeros)
    this.#writer.closeMember()
    yield* this.#writer.ready()
    this.#streamed = undefined
    this.#options.onMember?.(path, sizeBytes)
  }

  *#written(bytes: Buffer): Generator<Buffer, void, undefined> {
    this.#write(bytes)
    yield* this.#writer.ready()
  }

  #write(bytes: Buffer): void {
    if (bytes.length > this.#writer.left) {
      const path = this.#streamed?.path ?? ''
      const sizeBytes = this.#streamed?.sizeBytes ?? 0
      throw new BackupError(
        'ARCHIVE_MEMBER_LONGER',
        `expected ${sizeBytes} bytes of ${showPath(path)}, the size it had when it was opened, found more`,
        { path, sizeBytes },
        { hint: 'run the backup again; if it happens every time, report it with the version of the backup program' },
      )
    }
    this.#writer.write(bytes)
  }

  #header(path: string, sizeBytes: number): TarHeader {
    const { mtimeMs } = this.#options
    return { path, type: 'file', sizeBytes, mode: MODE, mtimeMs, uid: 0, gid: 0, uname: OWNER, gname: OWNER }
  }
}

const shorter = (path: string, sizeBytes: number, missingBytes: number): BackupError =>
  new BackupError(
    'ARCHIVE_MEMBER_CHANGED',
    `expected ${sizeBytes} bytes of ${showPath(path)}, the size it had when nobody wrote to it, found ${missingBytes} fewer`,
    { path, sizeBytes, missingBytes },
    {
      hint: 'run the backup again; if it happens every time, the table is written to though the backup program has locked it',
    },
  )

function* zeroPieces(zeroBytes: number): Generator<Buffer, void, undefined> {
  for (let left = zeroBytes; left > 0; left -= ZEROS.length) yield ZEROS.subarray(0, left)
}
