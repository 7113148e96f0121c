/**
 * Decides when each file of an xbstream goes into the tar, and with which size.
 *
 * tar wants a member's size before its bytes; an xbstream says it after them, and mixes
 * files besides. Three rules, in this order:
 *
 * 1. The file ends while it fits into memory: its size is known then. Nearly all files.
 * 2. A tablespace that does not fit, if no other member is being written: `sizeOf` is
 *    asked once, and the file is written while it comes. When it stops short, zero
 *    pages fill it up and that is recorded; when it goes on, the archive has failed.
 * 3. Everything else, the redo log always, goes to the spool until it ends.
 *
 * Every method yields the archive's bytes that it made; they leave before more is taken.
 * That zeros are harmless behind a tablespace is said in PROTOCOL.md, "The archive".
 */

import { BackupError } from '../errors/index.ts'
import { showPath } from './safe-path.ts'
import type { Spool } from './spool.ts'
import { isTablespace } from './tablespace.ts'
import type { TarHeader, TarWriter } from './tar-writer.ts'
import type { PaddedMember } from './types.ts'
import { WaitingRoom } from './waiting-room.ts'

/** Permissions of a member, as the server creates its own files without looking at the umask of who unpacks. */
const MODE = 0o640
const OWNER = 'mysql'

const ZEROS = Buffer.alloc(64 * 1024)

export interface TarAssemblyOptions {
  readonly memoryBytes: number
  readonly mtimeMs: number
  /** Size of the source file while the backup program still has it open; undefined when that cannot be said. */
  sizeOf(path: string): number | undefined
  /** Told when the last byte of a member was produced. */
  onMember?: ((path: string, sizeBytes: number) => void) | undefined
}

export class TarAssembly {
  readonly #writer: TarWriter
  readonly #room: WaitingRoom
  readonly #options: TarAssemblyOptions
  readonly #padded: PaddedMember[] = []
  /** The tablespace that is written while it comes. */
  #streamed: { readonly path: string; readonly sizeBytes: number } | undefined

  constructor(writer: TarWriter, spool: Spool, options: TarAssemblyOptions) {
    this.#writer = writer
    this.#room = new WaitingRoom(options.memoryBytes, spool)
    this.#options = options
  }

  get padded(): readonly PaddedMember[] {
    return this.#padded
  }

  get peakMemoryBytes(): number {
    return this.#room.peakMemoryBytes
  }

  /** Bytes of a file. They are lent: what is kept is copied, or the whole chunk is. */
  async *take(path: string, bytes: Buffer): AsyncGenerator<Buffer> {
    if (this.#streamed?.path === path) {
      yield* this.#write(bytes)
      return
    }
    const file = this.#room.open(path)
    if (this.#streamed === undefined && isTablespace(path) && !file.isSpooled && this.#room.wouldOutgrow(file, bytes)) {
      const sizeBytes = this.#options.sizeOf(path)
      if (sizeBytes !== undefined && sizeBytes >= file.sizeBytes + bytes.length) {
        this.#streamed = { path, sizeBytes }
        this.#room.release(path)
        await this.#writer.openMember(this.#header(path, sizeBytes))
        for await (const held of file.drain()) yield* this.#write(held)
        yield* this.#write(bytes)
        return
      }
    }
    await this.#room.append(file, bytes)
  }

  /** Zero bytes of a file that the xbstream left out. They are written in full: a plain tar has no holes. */
  async *takeHole(path: string, zeroBytes: number): AsyncGenerator<Buffer> {
    for (const zeros of zeroPieces(zeroBytes)) yield* this.take(path, zeros)
  }

  /** The file is whole. */
  async *end(path: string): AsyncGenerator<Buffer> {
    if (this.#streamed === undefined) {
      yield* this.#member(this.#room.release(path))
    } else if (this.#streamed.path === path) {
      yield* this.#endStreamed(this.#streamed)
      for (const file of this.#room.leave()) yield* this.#member(file)
    } else {
      await this.#room.keepFinished(this.#room.release(path))
    }
  }

  /** A member whose size is known because it has ended. */
  async *#member(file: { path: string; sizeBytes: number; drain(): AsyncGenerator<Buffer> }): AsyncGenerator<Buffer> {
    await this.#writer.openMember(this.#header(file.path, file.sizeBytes))
    for await (const bytes of file.drain()) yield* this.#write(bytes)
    await this.#writer.closeMember()
    yield* this.#writer.ready()
    this.#options.onMember?.(file.path, file.sizeBytes)
  }

  async *#endStreamed({ path, sizeBytes }: { path: string; sizeBytes: number }): AsyncGenerator<Buffer> {
    const zeroBytes = this.#writer.left
    if (zeroBytes > 0) this.#padded.push({ path, zeroBytes })
    for (const zeros of zeroPieces(zeroBytes)) yield* this.#write(zeros)
    await this.#writer.closeMember()
    yield* this.#writer.ready()
    this.#streamed = undefined
    this.#options.onMember?.(path, sizeBytes)
  }

  async *#write(bytes: Buffer): AsyncGenerator<Buffer> {
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
    await this.#writer.write(bytes)
    yield* this.#writer.ready()
  }

  #header(path: string, sizeBytes: number): TarHeader {
    const { mtimeMs } = this.#options
    return { path, type: 'file', sizeBytes, mode: MODE, mtimeMs, uid: 0, gid: 0, uname: OWNER, gname: OWNER }
  }
}

function* zeroPieces(zeroBytes: number): Generator<Buffer, void, undefined> {
  for (let left = zeroBytes; left > 0; left -= ZEROS.length) yield ZEROS.subarray(0, left)
}
