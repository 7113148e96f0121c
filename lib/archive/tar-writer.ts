/**
 * Writes tar, a member at a time, through tar-stream's `pack`.
 *
 * It is pushed, never runs ahead, and holds next to nothing: whoever writes takes what
 * is `ready` before writing more. Bodies pass as they are; headers and other small
 * pieces that stand together leave as one buffer, because every buffer costs a turn
 * in each room behind this one.
 *
 * Header fields that tar-stream cannot hold, or would write wrongly, go into a pax
 * header. Format: PROTOCOL.md, "The archive"; POSIX ustar and pax.
 */

import { once } from 'node:events'

import { type Pack, pack } from 'tar-stream'

import { commentHeader, encodeMark } from './archive-mark.ts'
import type { ArchiveEntry, ArchiveMark } from './types.ts'

export type TarHeader = Omit<ArchiveEntry, 'body'>

/** Pieces below this are copied together. */
const SMALL_BYTES = 8 * 1024

/** ustar fields: seven octal digits, of which tar-stream uses six; a name of 32 bytes with its NUL. */
const MAX_USTAR_ID = 0o777777
const MAX_USTAR_OWNER_BYTES = 31
const MAX_USTAR_NAME_BYTES = 100
/** tar-stream writes the seconds through a 32-bit operator. */
const MAX_MTIME_SECONDS = 2 ** 31 - 1

/** File type bits. tar-stream masks them off; with them a mode of 0 is not taken for a missing one. */
const REGULAR = 0o100000
const DIRECTORY = 0o040000
const PERMISSIONS = 0o7777

type Headers = Parameters<Pack['entry']>[0]

export class TarWriter {
  // Without a limit of its own the pack never makes a body wait: what it holds is taken out after every write.
  readonly #pack = pack({ highWaterMark: Number.POSITIVE_INFINITY })
  #body: ReturnType<Pack['entry']> | undefined
  #closed: Promise<void> = Promise.resolve()
  #left = 0
  #givenUp = false
  #archiveBytes = 0
  #contentBytes = 0
  #members = 0

  constructor() {
    // Errors reach us through the member they belong to; an unheard one would end the process.
    this.#pack.on('error', () => {})
  }

  /** Bytes that were taken out through `ready`. */
  get archiveBytes(): number {
    return this.#archiveBytes
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
  async begin(mark: ArchiveMark): Promise<void> {
    this.#checkAlive()
    this.#pack.push(commentHeader(encodeMark(mark)))
    this.#pack.read()
    await once(this.#pack, 'open')
  }

  /** Opens a member. A directory is closed at once. */
  async openMember(header: TarHeader): Promise<void> {
    this.#checkAlive()
    if (this.#left > 0 || this.#body !== undefined) throw new Error('bug: a tar member is opened inside another')
    this.#left = header.type === 'file' ? header.sizeBytes : 0
    this.#contentBytes += this.#left
    this.#members += 1
    let settle: (error?: Error | null) => void = () => {}
    this.#closed = new Promise<void>((resolve, reject) => {
      settle = (error) => (error ? reject(error) : resolve())
    })
    const body = this.#pack.entry(toHeaders(header), (error) => settle(error))
    this.#closed.catch(() => {}) // looked at in `closeMember`, if it comes to that
    body.on('error', () => {})
    if (header.type === 'directory') await this.#closed
    else this.#body = body
  }

  /** Writes a part of the open member's body. The bytes pass as they are and must not change until they were taken. */
  async write(bytes: Buffer): Promise<void> {
    this.#checkAlive()
    if (this.#body === undefined || bytes.length > this.#left)
      throw new Error('bug: more bytes than the member announced')
    if (bytes.length === 0) return
    this.#left -= bytes.length
    if (!this.#body.write(bytes)) await once(this.#body, 'drain')
  }

  /** Closes the open member, with its padding. */
  async closeMember(): Promise<void> {
    this.#checkAlive()
    if (this.#body === undefined || this.#left > 0)
      throw new Error(`bug: a tar member is closed ${this.#left} bytes early`)
    this.#body.end(null) // nothing more; its types want to hear it
    this.#body = undefined
    await this.#closed
  }

  /** Writes the end of the archive. */
  finish(): void {
    this.#checkAlive()
    this.#pack.finalize()
  }

  /** Takes out everything that can leave. */
  *ready(): Generator<Buffer, void, undefined> {
    let small: Buffer[] = []
    for (;;) {
      const piece = this.#pack.read() as Buffer | null
      if (piece !== null && piece.length < SMALL_BYTES) {
        small.push(piece)
        continue
      }
      if (small.length > 0) {
        const [first] = small
        const joined = small.length === 1 && first !== undefined ? first : Buffer.concat(small)
        small = []
        this.#archiveBytes += joined.length
        yield joined
      }
      if (piece === null) return
      this.#archiveBytes += piece.length
      yield piece
    }
  }

  /** Gives everything up. Safe at any time, and more than once. */
  destroy(): void {
    this.#givenUp = true
    // With an error, because only that wakes who waits for a drain.
    this.#pack.destroy(new Error('the archive was given up'))
  }

  /** A destroyed stream accepts bytes, drops them, and never says that it is ready for more. */
  #checkAlive(): void {
    if (this.#givenUp) throw new Error('the archive was given up')
  }
}

const toHeaders = (header: TarHeader): Headers => {
  const pax: Record<string, string> = {}
  const isDirectory = header.type === 'directory'
  const name = isDirectory ? `${header.path}/` : header.path

  const seconds = Math.floor(header.mtimeMs / 1000)
  const ustarSeconds = Math.min(Math.max(seconds, 0), MAX_MTIME_SECONDS)
  if (seconds !== ustarSeconds) pax['mtime'] = String(seconds)
  for (const key of ['uid', 'gid'] as const) {
    if (header[key] > MAX_USTAR_ID) pax[key] = String(header[key])
  }
  for (const key of ['uname', 'gname'] as const) {
    const owner = header[key]
    if (owner !== undefined && !fitsUstar(owner, MAX_USTAR_OWNER_BYTES)) pax[key] = owner
  }
  const headers: Headers = {
    name,
    type: header.type,
    mode: (header.mode & PERMISSIONS) | (isDirectory ? DIRECTORY : REGULAR),
    mtime: new Date(ustarSeconds * 1000),
    size: isDirectory ? 0 : header.sizeBytes,
    uid: Math.min(header.uid, MAX_USTAR_ID),
    gid: Math.min(header.gid, MAX_USTAR_ID),
  }
  if (header.uname !== undefined && pax['uname'] === undefined) headers.uname = header.uname
  if (header.gname !== undefined && pax['gname'] === undefined) headers.gname = header.gname
  // tar-stream splits a long name at its slashes; of a directory's it would make an empty one.
  const splitsBadly = isDirectory && name.length > MAX_USTAR_NAME_BYTES
  if (splitsBadly || Object.keys(pax).length > 0) headers.pax = pax
  return headers
}

const fitsUstar = (text: string, maxBytes: number): boolean =>
  /^[\u0020-\u007e]*$/.test(text) && text.length <= maxBytes
