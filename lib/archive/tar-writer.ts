/**
 * Writes tar, a member at a time.
 *
 * It is pushed, never runs ahead, and holds next to nothing: whoever writes takes what
 * is `ready` before writing much more. Large pieces of a body pass as they are; headers,
 * padding and small pieces that stand together leave as one buffer, because every buffer
 * costs a turn in each room behind this one.
 *
 * Format: PROTOCOL.md, "The archive"; the headers: `tar-header-writer.ts`.
 */

import { commentHeader, encodeMark } from './archive-mark.ts'
import { BLOCK_BYTES } from './tar-header.ts'
import { paddingBytes, type TarHeader, TarHeaderWriter } from './tar-header-writer.ts'
import type { ArchiveMark, ReusedMemory } from './types.ts'

export type { TarHeader } from './tar-header-writer.ts'

/** Pieces below this are copied together: a copy costs less than a turn in every room. */
const SMALL_BYTES = 32 * 1024

/** What small pieces are copied into, where there is no memory that is used again. */
const SLAB_BYTES = 64 * 1024

/** As many zeros as the end of an archive has. */
const END = Buffer.alloc(2 * BLOCK_BYTES)

const NOTHING = Buffer.alloc(0)

export class TarWriter {
  readonly #headers = new TarHeaderWriter()
  readonly #memory: ReusedMemory | undefined
  #pieces: Buffer[] = []
  #readyBytes = 0
  #passedBytes = 0
  /** Small pieces: from `#from` on they have not become a piece yet. */
  #slab: Buffer = NOTHING
  #from = 0
  #to = 0
  #isOpen = false
  #bodyBytes = 0
  #left = 0
  #givenUp = false
  #archiveBytes = 0
  #contentBytes = 0
  #members = 0

  /** @param memory for small pieces that stand together; what they leave in is to be given back to it */
  constructor(memory?: ReusedMemory) {
    this.#memory = memory
  }

  /** Bytes that were taken out through `ready`. */
  get archiveBytes(): number {
    return this.#archiveBytes
  }

  /** Bytes that can be taken out now. */
  get readyBytes(): number {
    return this.#readyBytes
  }

  /** Bytes that were passed on as they are, and not copied, since the beginning. */
  get passedBytes(): number {
    return this.#passedBytes
  }

  /** Sum of the sizes of all members so far. */
  get contentBytes(): number {
    return this.#contentBytes
  }

  get members(): number {
    return this.#members
  }

  /** Bytes that the open member still wants. */
  get left(): number {
    return this.#left
  }

  /** Opens the archive. Must be followed by a member: see `commentHeader`. */
  begin(mark: ArchiveMark): void {
    this.#checkAlive()
    this.#add(commentHeader(encodeMark(mark)))
  }

  /** Opens a member. A directory is closed at once. */
  openMember(header: TarHeader): void {
    this.#checkAlive()
    if (this.#isOpen) throw new Error('bug: a tar member is opened inside another')
    this.#isOpen = header.type === 'file'
    this.#bodyBytes = this.#isOpen ? header.sizeBytes : 0
    this.#left = this.#bodyBytes
    this.#contentBytes += this.#bodyBytes
    this.#members += 1
    if (this.#slab.length - this.#to < BLOCK_BYTES) this.#nextSlab()
    const written = this.#headers.writeBlock(header, this.#slab, this.#to)
    this.#to += written
    this.#readyBytes += written
    if (written === 0) this.#add(this.#headers.write(header))
  }

  /** Writes a part of the open member's body. Large ones pass as they are and must not change until they were taken. */
  write(bytes: Buffer): void {
    this.#checkAlive()
    if (!this.#isOpen || bytes.length > this.#left) throw new Error('bug: more bytes than the member announced')
    this.#left -= bytes.length
    this.#add(bytes)
  }

  /** Closes the open member, with its padding. */
  closeMember(): void {
    this.#checkAlive()
    if (!this.#isOpen || this.#left > 0) throw new Error(`bug: a tar member is closed ${this.#left} bytes early`)
    this.#isOpen = false
    const padding = paddingBytes(this.#bodyBytes)
    if (padding > 0) this.#add(END.subarray(0, padding))
  }

  /** A whole member: opened, written and closed. */
  member(header: TarHeader, body: Buffer): void {
    const padding = paddingBytes(body.length)
    const bytes = BLOCK_BYTES + body.length + padding
    const at = this.#to
    const isPlain = body.length < SMALL_BYTES && !this.#isOpen && !this.#givenUp && bytes <= this.#slab.length - at
    if (!isPlain || this.#headers.writeBlock(header, this.#slab, at) === 0) {
      this.openMember(header)
      this.write(body)
      this.closeMember()
      return
    }
    const bodyAt = at + BLOCK_BYTES
    const bodyEnd = bodyAt + body.length
    this.#slab.set(body, bodyAt)
    if (padding > 0) this.#slab.fill(0, bodyEnd, bodyEnd + padding)
    this.#to = bodyEnd + padding
    this.#readyBytes += bytes
    this.#contentBytes += body.length
    this.#members += 1
  }

  /** Writes the end of the archive. */
  finish(): void {
    this.#checkAlive()
    if (this.#isOpen) throw new Error('bug: an archive is finished inside of a member')
    this.#add(END)
  }

  /** Takes out everything that can leave. */
  *ready(): Generator<Buffer, void, undefined> {
    this.#closeSlab()
    if (this.#to * 4 >= this.#slab.length * 3) this.#leaveSlab()
    const pieces = this.#pieces
    this.#pieces = []
    this.#readyBytes = 0
    for (const piece of pieces) {
      if (this.#givenUp) return
      this.#archiveBytes += piece.length
      yield piece
    }
  }

  /** Gives everything up. Safe at any time, and more than once. */
  destroy(): void {
    this.#givenUp = true
    this.#pieces = []
    this.#readyBytes = 0
    this.#from = this.#to
  }

  #add(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#readyBytes += bytes.length
    if (bytes.length >= SMALL_BYTES) {
      this.#closeSlab()
      this.#pieces.push(bytes)
      this.#passedBytes += bytes.length
      return
    }
    let copied = bytes.copy(this.#slab, this.#to)
    this.#to += copied
    while (copied < bytes.length) {
      this.#nextSlab()
      this.#to = bytes.copy(this.#slab, 0, copied)
      copied += this.#to
    }
  }

  #nextSlab(): void {
    this.#closeSlab()
    this.#leaveSlab()
    const memory = this.#memory
    const slab = memory?.take() ?? Buffer.allocUnsafeSlow(SLAB_BYTES)
    this.#slab = memory?.lend(slab, slab.length) ?? slab
  }

  /** What it has not been used for comes back at once: the rest will, view by view. */
  #leaveSlab(): void {
    if (this.#slab.length > 0) this.#memory?.takeBack([this.#slab.subarray(this.#to)])
    this.#slab = NOTHING
    this.#from = 0
    this.#to = 0
  }

  #closeSlab(): void {
    if (this.#to > this.#from) this.#pieces.push(this.#slab.subarray(this.#from, this.#to))
    this.#from = this.#to
  }

  #checkAlive(): void {
    if (this.#givenUp) throw new Error('the archive was given up')
  }
}
