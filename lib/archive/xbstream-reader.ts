/**
 * Reads an xbstream, a piece at a time, and says what happens to which file.
 *
 *     XBSTCK01 · flags u8 · type u8 · path length u32 · path      every chunk
 *         S: map entries u32
 *         P, S: payload length u64 · offset u64 · CRC32 u32
 *         S: map entries × (skip u32, write u32)
 *         P, S: payload
 *         E: nothing; the file is whole
 *
 * All numbers are little-endian. A payload is handed on as it arrives, so nothing but
 * a header is ever kept; its checksum is compared when its last byte has passed, and a
 * wrong one throws then. Whoever consumes the events must not call the result whole
 * before `end` has returned: a failed backup program can leave a stream that looks fine.
 *
 * Pure: no file, no clock. Format: PROTOCOL.md, "xbstream".
 */

import { isUtf8 } from 'node:buffer'
import { crc32 } from 'node:zlib'

import { BackupError, type ErrorCode, type Facts } from '../errors/index.ts'
import { NamesSeen } from './names-seen.ts'
import { checkSafePath, isUsualPath, showPath } from './safe-path.ts'
import { LEAST_FILE_BYTES, WholeFile } from './whole-file.ts'
import {
  EOF,
  HEAD_BYTES,
  LENGTHS_BYTES,
  MAGIC_FIRST,
  MAGIC_SECOND,
  PATH_LENGTH_AT,
  PAYLOAD,
  SPARSE,
  TYPE_AT,
  XBSTREAM_MAGIC,
} from './xbstream-chunk.ts'

/** What a stretch of the stream means for one file. `bytes` is a view of the chunk that was pushed. */
export type XbEvent =
  | { readonly type: 'data'; readonly path: string; readonly bytes: Buffer }
  | { readonly type: 'hole'; readonly path: string; readonly zeroBytes: number }
  | { readonly type: 'end'; readonly path: string }

/** Of a file that stands whole in the chunk: its only `data`, and its `end`. */
export type XbFile = { readonly type: 'file'; readonly path: string; readonly bytes: Buffer }

/**
 * Limits on what a header may claim. Each is checked before memory is taken.
 */
export const XBSTREAM_LIMITS = Object.freeze({
  /** The programs themselves refuse 512 and more. */
  pathBytes: 511,
  /**
   * No memory hangs on this one, payloads pass through. Chunks of files stay near 10 MiB, but a redo log that is
   * mapped into memory is written in one chunk, and `innodb_log_file_size` may be 512 GiB.
   */
  payloadBytes: 2 ** 39,
  /** A write of 10 MiB in pieces of 512 bytes has 20480; this is six times as many, 1 MiB of map. */
  mapEntries: 131_072,
  /** Threads of the backup program, and one for the redo log; `parallel=4` had 5 open at most. */
  openFiles: 4096,
  /** As many as a receiver takes (`NAME_LIMITS`). They are remembered, so that none comes twice: 100 bytes each. */
  files: 2 ** 21,
})

const MAP_COUNT_BYTES = 4
const MAP_ENTRY_BYTES = 8

/** Flag bit: a reader that does not know the type of the chunk may skip it. */
const IGNORABLE = 1

const NOTHING = Buffer.alloc(0)

/** What the reader is waiting for. `broken` is final. */
type State = 'head' | 'path' | 'mapCount' | 'lengths' | 'map' | 'payload' | 'broken'

export class XbstreamReader {
  #state: State = 'head'
  /** Header parts that were cut are gathered here: they are small, and may be cut anywhere. */
  readonly #scratch = Buffer.alloc(XBSTREAM_LIMITS.pathBytes)
  #gathered: Buffer = this.#scratch
  #have = 0
  #needed = HEAD_BYTES

  /** Bytes consumed, and where the chunk that is being read began: every error names it. */
  #at = 0
  #chunkAt = 0

  // The chunk that is being read.
  #type = 0
  #skipped = false // unknown and ignorable
  #path = ''
  /** The last name that was found to be good, as it stood there: a file's chunks mostly follow each other. */
  readonly #knownBytes = Buffer.alloc(XBSTREAM_LIMITS.pathBytes)
  #knownLength = 0
  #knownPath = ''
  #map: Buffer = NOTHING
  #mapAt = 0
  #pieceLeft = 0 // bytes until the next map entry
  /** What was known of the file before this chunk. */
  #offset: number | undefined
  #payloadBytes = 0
  #payloadLeft = 0
  #nextOffset = 0
  #crc = 0
  #expectedCrc = 0

  /** The offset that the next chunk of a file must have. */
  readonly #open = new Map<string, number>()
  readonly #closed = new NamesSeen()
  readonly #whole = new WholeFile()

  /** Bytes of the stream that were read. */
  get bytesRead(): number {
    return this.#at
  }

  /** Files that were closed. */
  get files(): number {
    return this.#closed.size
  }

  /**
   * Takes the next bytes of the stream and yields what they mean. Run it to its end before the next `push`.
   *
   * @throws BackupError `XBSTREAM_*`, or `ARCHIVE_PATH_UNSAFE`; its facts say at which byte the chunk began
   */
  *push(chunk: Buffer): Generator<XbEvent, void, undefined> {
    for (const event of this.pushWhole(chunk)) {
      if (event.type !== 'file') yield event
      else {
        const { path, bytes } = event
        yield { type: 'data', path, bytes }
        yield { type: 'end', path }
      }
    }
  }

  /** The same, but a file that stands whole in the chunk is one event: of thousands of small files each costs half so much. */
  *pushWhole(chunk: Buffer): Generator<XbEvent | XbFile, void, undefined> {
    if (this.#state === 'broken') throw new Error('bug: XbstreamReader fed after it refused the stream')
    let at = 0
    let view: DataView | undefined
    while (at < chunk.length) {
      if (this.#state === 'head' && this.#have === 0 && chunk.length - at >= LEAST_FILE_BYTES) {
        view ??= new DataView(chunk.buffer, chunk.byteOffset, chunk.length)
        if (this.#whole.isAt(chunk, view, at)) {
          const file = this.#readWhole(chunk)
          if (file !== undefined) {
            this.#at += this.#whole.endAt - at
            this.#chunkAt = this.#at
            at = this.#whole.endAt
            yield file
            continue
          }
        }
      }
      if (this.#state === 'payload') {
        const bytes = chunk.subarray(at, at + this.#payloadStep())
        at += bytes.length
        this.#at += bytes.length
        this.#crc = crc32(bytes, this.#crc)
        this.#payloadLeft -= bytes.length
        this.#pieceLeft -= bytes.length
        if (!this.#skipped) yield { type: 'data', path: this.#path, bytes }
      } else {
        const needed = this.#needed
        if (this.#have === 0 && chunk.length - at >= needed && this.#state !== 'map') {
          // Whole, as nearly all are: it is read where it stands.
          this.#at += needed
          this.#advance(chunk, at)
          at += needed
        } else {
          const copied = chunk.copy(this.#gathered, this.#have, at, at + needed - this.#have)
          at += copied
          this.#at += copied
          this.#have += copied
          if (this.#have < needed) continue
          this.#advance(this.#gathered, 0)
        }
        // `advance` leaves the type behind when it has seen a whole closing chunk.
        if (this.#state === 'head') yield { type: 'end', path: this.#path }
      }
      if (this.#mapAt < this.#map.length) yield* this.#skipHoles()
      if (this.#state === 'payload' && this.#payloadLeft === 0) this.#closeChunk()
    }
  }

  /**
   * Says that the stream has ended.
   *
   * @throws BackupError `XBSTREAM_TRUNCATED` inside a chunk, `XBSTREAM_FILE_OPEN` when a file was never closed
   */
  end(): void {
    if (this.#state === 'broken') throw new Error('bug: XbstreamReader ended after it refused the stream')
    if (this.#state !== 'head' || this.#have > 0) {
      const missing = this.#state === 'payload' ? this.#payloadLeft : this.#needed - this.#have
      this.#break('XBSTREAM_TRUNCATED', `the stream stops at byte ${this.#at}, at least ${missing} bytes too early`, {
        missingBytes: missing,
      })
    }
    const open = [...this.#open.keys()]
    if (open.length > 0) {
      const names = open.slice(0, 5)
      const more = open.length > names.length ? ` and ${open.length - names.length} more` : ''
      this.#break(
        'XBSTREAM_FILE_OPEN',
        `the stream ends after ${this.#at} bytes, but never closed ${names.map(showPath).join(', ')}${more}`,
        { open: open.length, files: names },
      )
    }
  }

  /** @returns undefined, and nothing was changed, when something is wrong with it: to be read step by step then */
  #readWhole(chunk: Buffer): XbFile | undefined {
    const { nameAt, nameEnd, payloadAt, payloadEnd, crc } = this.#whole
    const bytes = chunk.subarray(payloadAt, payloadEnd)
    if (crc32(bytes) !== crc) return undefined
    const open = this.#open.size
    const closed = this.#closed.size
    if (open >= XBSTREAM_LIMITS.openFiles || open + closed >= XBSTREAM_LIMITS.files) return undefined
    const path = chunk.toString('latin1', nameAt, nameEnd)
    if ((open > 0 && this.#open.has(path)) || !this.#closed.add(chunk, nameAt, nameEnd)) return undefined
    return { type: 'file', path, bytes }
  }

  /** Bytes of payload that belong to one event: up to the next hole. */
  #payloadStep(): number {
    return this.#type === SPARSE ? Math.min(this.#payloadLeft, this.#pieceLeft) : this.#payloadLeft
  }

  /** A part of a header stands whole at `at`: reads it and says what comes next. */
  #advance(part: Buffer, at: number): void {
    switch (this.#state) {
      case 'head': {
        if (part.readUInt32LE(at) !== MAGIC_FIRST || part.readUInt32LE(at + 4) !== MAGIC_SECOND) {
          const found = part.toString('latin1', at, at + XBSTREAM_MAGIC.length)
          this.#break('XBSTREAM_CORRUPT', `expected the chunk magic "XBSTCK01", found ${showPath(found)}`)
        }
        this.#readType(part.readUInt8(at + TYPE_AT - 1), part.readUInt8(at + TYPE_AT))
        const pathBytes = part.readUInt32LE(at + PATH_LENGTH_AT)
        if (pathBytes === 0) this.#break('XBSTREAM_CORRUPT', 'expected a name, found one of 0 bytes')
        this.#limit('a name', pathBytes, XBSTREAM_LIMITS.pathBytes)
        this.#gather('path', pathBytes)
        return
      }
      case 'path':
        this.#path = this.#readPath(part, at, this.#needed)
        if (this.#type === EOF) this.#closeFile()
        else if (this.#type === SPARSE) this.#gather('mapCount', MAP_COUNT_BYTES)
        else this.#gather('lengths', LENGTHS_BYTES)
        return
      case 'mapCount': {
        const entries = part.readUInt32LE(at)
        this.#limit('a sparse map', entries, XBSTREAM_LIMITS.mapEntries)
        this.#map = Buffer.alloc(entries * MAP_ENTRY_BYTES)
        this.#gather('lengths', LENGTHS_BYTES)
        return
      }
      case 'lengths':
        this.#readLengths(part, at)
        if (this.#map.length > 0) this.#gather('map', this.#map.length, this.#map)
        else this.#beginPayload()
        return
      case 'map':
        this.#beginPayload()
        return
      case 'payload':
      case 'broken':
        throw new Error(`bug: XbstreamReader has no header to read while ${this.#state}`)
    }
  }

  #gather(state: State, needed: number, into: Buffer = this.#scratch): void {
    if (state === 'head') this.#chunkAt = this.#at
    this.#state = state
    this.#gathered = into
    this.#have = 0
    this.#needed = needed
  }

  #readType(flags: number, type: number): void {
    const known = type === PAYLOAD || type === SPARSE || type === EOF
    if (!known && (flags & IGNORABLE) === 0) {
      const shown = showPath(String.fromCharCode(type))
      this.#break('XBSTREAM_CHUNK_UNKNOWN', `expected a chunk of type "P", "S" or "E", found ${shown}`, {
        chunkType: type,
      })
    }
    this.#type = type
    this.#skipped = !known
    this.#map = NOTHING
  }

  #readPath(part: Buffer, at: number, pathBytes: number): string {
    const safe = this.#isKnown(part, at, pathBytes) ? this.#knownPath : this.#decode(part, at, pathBytes)
    if (this.#skipped) return safe
    const offset = this.#open.get(safe)
    if (offset === undefined) {
      const name = Buffer.from(safe)
      if (this.#closed.has(name, 0, name.length)) {
        const message = `found a chunk for ${showPath(safe)}, which was already closed`
        this.#break('XBSTREAM_AFTER_END', message, { path: safe })
      }
      this.#limit('the number of open files', this.#open.size + 1, XBSTREAM_LIMITS.openFiles)
      this.#limit('the number of files', this.#open.size + this.#closed.size + 1, XBSTREAM_LIMITS.files)
    }
    this.#offset = offset
    return safe
  }

  /** A loop: for so few bytes a call into the system's own is slower. */
  #isKnown(part: Buffer, at: number, pathBytes: number): boolean {
    if (pathBytes !== this.#knownLength) return false
    const known = this.#knownBytes
    // The last ones differ first.
    for (let index = pathBytes - 1; index >= 0; index -= 1) {
      if (part[at + index] !== known[index]) return false
    }
    return true
  }

  /** The name as it may be used; of a chunk that is skipped, as it stands there. */
  #decode(part: Buffer, at: number, pathBytes: number): string {
    // Nearly all names are ASCII, whatever encoding they are read in.
    const usual = part.toString('latin1', at, at + pathBytes)
    if (isUsualPath(usual)) return this.#skipped ? usual : this.#remember(usual, part, at, pathBytes)
    if (!isUtf8(part.subarray(at, at + pathBytes))) {
      this.#state = 'broken'
      const path = showPath(part.toString('latin1', at, at + pathBytes))
      throw new BackupError('ARCHIVE_PATH_UNSAFE', `expected a name in UTF-8, found ${path}`, { path })
    }
    const path = part.toString('utf8', at, at + pathBytes)
    if (this.#skipped) return path
    try {
      return this.#remember(checkSafePath(path), part, at, pathBytes)
    } catch (error) {
      this.#state = 'broken'
      throw error
    }
  }

  #remember(path: string, part: Buffer, at: number, pathBytes: number): string {
    this.#knownPath = path
    this.#knownLength = part.copy(this.#knownBytes, 0, at, at + pathBytes)
    return path
  }

  #readLengths(part: Buffer, at: number): void {
    this.#payloadBytes = this.#u64(part, at, 'a payload length')
    const offset = this.#u64(part, at + 8, 'an offset')
    this.#expectedCrc = part.readUInt32LE(at + 16)
    this.#limit('a payload', this.#payloadBytes, XBSTREAM_LIMITS.payloadBytes)
    if (this.#skipped) return
    const expected = this.#offset ?? 0
    if (offset !== expected) {
      this.#break(
        'XBSTREAM_OFFSET',
        `expected the next chunk of ${showPath(this.#path)} at offset ${expected}, found ${offset}`,
        { path: this.#path, expected, found: offset },
      )
    }
    this.#nextOffset = offset
  }

  /** Headers are read: what follows are bytes of the file, or in a sparse chunk the first hole. */
  #beginPayload(): void {
    this.#state = 'payload'
    this.#payloadLeft = this.#payloadBytes
    this.#crc = this.#map.length > 0 ? crc32(this.#map) : 0
    this.#mapAt = 0
    this.#pieceLeft = 0
    if (this.#type !== SPARSE) return

    let skips = 0
    let writes = 0
    for (let at = 0; at < this.#map.length; at += MAP_ENTRY_BYTES) {
      skips += this.#map.readUInt32LE(at)
      writes += this.#map.readUInt32LE(at + 4)
    }
    if (writes !== this.#payloadBytes) {
      this.#break('XBSTREAM_CORRUPT', `expected a sparse map of ${this.#payloadBytes} bytes, found one of ${writes}`, {
        path: this.#path,
      })
    }
    this.#nextOffset += skips
  }

  /** Yields the holes that stand before the next byte of payload, or behind the last. */
  *#skipHoles(): Generator<XbEvent, void, undefined> {
    while (this.#state === 'payload' && this.#pieceLeft <= 0 && this.#mapAt < this.#map.length) {
      const zeroBytes = this.#map.readUInt32LE(this.#mapAt)
      this.#pieceLeft = this.#map.readUInt32LE(this.#mapAt + 4)
      this.#mapAt += MAP_ENTRY_BYTES
      if (zeroBytes > 0) yield { type: 'hole', path: this.#path, zeroBytes }
    }
  }

  #closeChunk(): void {
    if (this.#crc !== this.#expectedCrc) {
      const hex = (crc: number) => crc.toString(16).padStart(8, '0')
      this.#break(
        'XBSTREAM_CHECKSUM',
        `expected checksum ${hex(this.#expectedCrc)} for a chunk of ${showPath(this.#path)}, found ${hex(this.#crc)}`,
        { path: this.#path },
      )
    }
    if (!this.#skipped) this.#open.set(this.#path, this.#nextOffset + this.#payloadBytes)
    this.#gather('head', HEAD_BYTES)
  }

  #closeFile(): void {
    this.#open.delete(this.#path)
    const name = Buffer.from(this.#path)
    this.#closed.add(name, 0, name.length)
    this.#gather('head', HEAD_BYTES)
  }

  #u64(part: Buffer, at: number, what: string): number {
    const high = part.readUInt32LE(at + 4)
    if (high >= 2 ** 21) {
      const value = part.readBigUInt64LE(at)
      this.#break('XBSTREAM_LIMIT', `expected ${what} below 2^53, found ${value}`, { path: this.#path })
    }
    return high * 2 ** 32 + part.readUInt32LE(at)
  }

  #limit(what: string, found: number, limit: number): void {
    if (found > limit) {
      this.#break('XBSTREAM_LIMIT', `expected ${what} of at most ${limit}, found ${found}`, { found, limit })
    }
  }

  #break(code: ErrorCode, message: string, facts: Facts = {}): never {
    this.#state = 'broken'
    throw new BackupError(code, `${message} (xbstream chunk at byte ${this.#chunkAt})`, { ...facts, at: this.#chunkAt })
  }
}
