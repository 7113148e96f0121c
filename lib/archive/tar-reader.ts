/**
 * Reads a tar archive, a chunk at a time, and accepts only a whole one.
 *
 *     [x or L, K: more about the next member] header · body · padding      any number of members
 *     zero block · zero block                                              the end, then only zeros
 *
 * Other readers are lenient where this one must not be: GNU tar, bsdtar and tar-stream all take an archive that stops
 * between two members for a finished one. Here the two zero blocks must be there. What two programs would read
 * differently is refused too, so that what was proven is what will be unpacked.
 *
 * Bodies are handed on as views of the chunk, untouched; only a header cut in two by a chunk is copied. Names are handed
 * on as they stand: whether they are safe, and which types may be there, is decided by who reads (`archive-proof.ts`).
 *
 * Pure: no file, no clock, no log. Format: PROTOCOL.md, "The archive"; POSIX ustar and pax; GNU tar manual.
 */

import { BackupError, type ErrorCode } from '../errors/index.ts'
import { parseMark } from './archive-mark.ts'
import { type PaxRecords, parsePaxRecords } from './pax-records.ts'
import { showPath } from './safe-path.ts'
import { BLOCK_BYTES, isZeroBlock, parseTarHeader, type TarHeaderBlock } from './tar-header.ts'
import type { ArchiveMark } from './types.ts'

/** `unknown` is a type of some vendor's, with a body like a file's. */
export type TarMemberType =
  | 'file'
  | 'directory'
  | 'hard link'
  | 'symbolic link'
  | 'character device'
  | 'block device'
  | 'fifo'
  | 'unknown'

/** One member, as its headers describe it together. */
export interface TarMember {
  /** As it stands in the archive, but a directory's without the slash at its end. Not checked: it may climb. */
  readonly path: string
  readonly type: TarMemberType
  /** 0 for everything but files and unknown types. */
  readonly sizeBytes: number
  readonly mode: number
  readonly mtimeMs: number
  /** Where a link points; empty for everything else. */
  readonly linkPath: string
}

/** `data` is a view of the chunk that was pushed, valid as long as that is. Several may come for one member. */
export type TarEvent =
  | { readonly type: 'mark'; readonly mark: ArchiveMark }
  | { readonly type: 'member'; readonly member: TarMember }
  | { readonly type: 'data'; readonly bytes: Buffer }
  | { readonly type: 'memberEnd' }
  | { readonly type: 'end' }

export const TAR_LIMITS = {
  /** Body of an `x`, `g`, `L` or `K` header. A path is at most 4 kB; attributes are the rest. */
  extensionBytes: 1024 * 1024,
  /** Zeros behind the end. GNU tar and bsdtar fill up to 10240 bytes, with `-b` to a multiple of what they are told. */
  paddingBytes: 1024 * 1024,
} as const

/** What the reader is waiting for. `broken` is final; in `end` only zeros may still come. */
type State = 'header' | 'extension' | 'body' | 'padding' | 'secondZeroBlock' | 'end' | 'broken'

/** Everything that was said about the next member ahead of its own header. */
interface Ahead {
  readonly pax?: PaxRecords
  readonly longName?: string
  readonly longLink?: string
}

const NOTHING_AHEAD: Ahead = {}
const NO_BYTES: Buffer = Buffer.alloc(0)
const MEMBER_END: TarEvent = { type: 'memberEnd' }

const TYPES: ReadonlyMap<string, TarMemberType> = new Map<string, TarMemberType>([
  ['0', 'file'],
  ['\0', 'file'],
  ['7', 'file'],
  ['1', 'hard link'],
  ['2', 'symbolic link'],
  ['3', 'character device'],
  ['4', 'block device'],
  ['5', 'directory'],
  ['6', 'fifo'],
])

/** Their bodies are not what a file holds, so that nothing can be read on behind them with certainty. */
const REFUSED_TYPES: ReadonlyMap<string, string> = new Map([
  ['S', 'a file written sparse, with its holes left out'],
  ['M', 'the rest of a file that began on another volume'],
  ['V', 'the label of a volume'],
  ['D', 'the listing of a GNU incremental dump'],
  ['N', 'the renames of an old GNU incremental dump'],
  ['X', 'a Solaris extended header'],
])

export interface TarReaderOptions {
  /** Told of every member's body that is not empty, as soon as the header before it is complete. */
  readonly onBody?: (startOffset: number, paddedEndOffset: number) => void
}

export class TarReader {
  readonly #onBody: TarReaderOptions['onBody']
  #state: State = 'header'
  #offset = 0
  #at = 0 // in the chunk that is being read
  #carry = NO_BYTES // a header or an extension cut by a chunk, as far as it has come
  #carried = 0
  #extension: { readonly typeflag: string; readonly sizeBytes: number } | undefined
  #ahead = NOTHING_AHEAD
  #member: TarMember | undefined
  #left = 0 // of a body or of its padding
  #bodyBytes = 0
  #bytesAfterEnd = 0

  constructor(options: TarReaderOptions = {}) {
    this.#onBody = options.onBody
  }

  /** Bytes of the archive that were read so far. */
  get offset(): number {
    return this.#offset
  }

  /**
   * Reads a chunk. The events must be taken to the end: what is not taken is lost, and the reader broken.
   *
   * @throws BackupError `ARCHIVE_CORRUPT`, `ARCHIVE_LIMIT`, `ARCHIVE_MEMBER_REFUSED`, `ARCHIVE_TRAILING_BYTES`
   */
  *push(chunk: Buffer): Generator<TarEvent, void, undefined> {
    if (this.#state === 'broken') throw new Error('bug: TarReader fed while broken')
    let isWell = false
    this.#at = 0
    try {
      while (this.#at < chunk.length) {
        switch (this.#state) {
          case 'header': {
            const block = this.#take(chunk, BLOCK_BYTES)
            if (block !== undefined) yield* this.#header(block)
            break
          }
          case 'extension': {
            const body = this.#take(chunk, this.#extension?.sizeBytes ?? 0)
            if (body !== undefined) yield* this.#endExtension(body)
            break
          }
          case 'body': {
            const bytes = this.#pass(chunk)
            const isLast = this.#left === 0
            if (isLast) this.#startPadding()
            yield { type: 'data', bytes }
            if (isLast) yield MEMBER_END
            break
          }
          case 'padding':
            this.#pass(chunk)
            if (this.#left === 0) this.#state = 'header'
            break
          case 'secondZeroBlock': {
            const block = this.#take(chunk, BLOCK_BYTES)
            if (block === undefined) break
            if (!isZeroBlock(block)) this.#corrupt('a second zero block, because the first one ends the archive')
            this.#state = 'end'
            yield { type: 'end' }
            break
          }
          case 'end':
            this.#checkZeros(chunk.subarray(this.#at))
            break
        }
      }
      isWell = true
    } finally {
      // Also when the caller left its loop early: the rest of the chunk was never read.
      if (!isWell) this.#state = 'broken'
    }
  }

  /**
   * Says that nothing more will come.
   *
   * @throws BackupError `ARCHIVE_TRUNCATED` unless both zero blocks of the end were read
   */
  finish(): void {
    if (this.#state === 'broken') throw new Error('bug: TarReader finished while broken')
    if (this.#state === 'end') return
    const found = this.#offset === 0 ? 'nothing at all' : `that it stops at byte ${this.#offset}, ${this.#where()}`
    this.#state = 'broken'
    throw new BackupError('ARCHIVE_TRUNCATED', `expected the end of the archive, found ${found}`, {
      offset: this.#offset,
    })
  }

  #where(): string {
    switch (this.#state) {
      case 'body':
        return `inside ${showPath(this.#member?.path ?? '')}, after ${this.#bodyBytes - this.#left} of ${this.#bodyBytes} bytes`
      case 'secondZeroBlock':
        return 'inside the end itself'
      case 'extension':
        return 'inside the name of a member'
      default:
        return this.#carried > 0 ? 'inside a header' : 'between two members'
    }
  }

  *#header(block: Buffer): Generator<TarEvent, void, undefined> {
    const at = this.#offset - BLOCK_BYTES
    if (isZeroBlock(block)) {
      if (this.#ahead !== NOTHING_AHEAD) this.#corrupt('the member that the header before it speaks of, not the end')
      this.#state = 'secondZeroBlock'
      return
    }
    const header = this.#parseHeader(block, at)
    const refused = REFUSED_TYPES.get(header.typeflag)
    if (refused !== undefined) {
      this.#fail('ARCHIVE_MEMBER_REFUSED', `expected files and directories, found ${refused} at byte ${at}`)
    }
    if (isExtension(header.typeflag)) yield* this.#startExtension(header)
    else yield* this.#startMember(header)
  }

  /** The very first block gets a better answer: most often the file is no tar, or is compressed. */
  #parseHeader(block: Buffer, at: number): TarHeaderBlock {
    try {
      return parseTarHeader(block, at)
    } catch (cause) {
      if (at > 0 || !(cause instanceof BackupError)) throw cause
      const hint = unpackHint(block)
      throw new BackupError(
        cause.code,
        'expected a tar archive, found that its first 512 bytes are no tar header',
        cause.facts,
        hint === undefined ? { cause } : { cause, hint },
      )
    }
  }

  *#startExtension({ typeflag, sizeBytes }: TarHeaderBlock): Generator<TarEvent, void, undefined> {
    if (sizeBytes > TAR_LIMITS.extensionBytes) {
      this.#fail(
        'ARCHIVE_LIMIT',
        `expected at most ${TAR_LIMITS.extensionBytes} bytes in a header of type "${typeflag}", found ${sizeBytes} at byte ${this.#offset}`,
      )
    }
    this.#extension = { typeflag, sizeBytes }
    this.#startBody(sizeBytes)
    this.#state = 'extension'
    if (sizeBytes === 0) yield* this.#endExtension(NO_BYTES)
  }

  *#endExtension(body: Buffer): Generator<TarEvent, void, undefined> {
    const typeflag = this.#extension?.typeflag
    const at = this.#offset - body.length
    this.#left = 0
    this.#startPadding()
    if (typeflag === 'g') yield* this.#takeGlobal(parsePaxRecords(body, at))
    else if (typeflag === 'x') this.#takePax(parsePaxRecords(body, at))
    else this.#takeLong(typeflag === 'L' ? 'longName' : 'longLink', body)
  }

  /** What it says holds for all members behind it, so it must not say anything about one. */
  *#takeGlobal(records: PaxRecords): Generator<TarEvent, void, undefined> {
    if (this.#ahead !== NOTHING_AHEAD)
      this.#corrupt('a member behind the header that speaks of it, not a global header')
    if (records.path !== undefined || records.linkPath !== undefined || records.sizeBytes !== undefined) {
      this.#corrupt('a global header without names and sizes')
    }
    const mark = records.comment === undefined ? undefined : parseMark(records.comment)
    if (mark !== undefined) yield { type: 'mark', mark }
  }

  // Two that speak of one thing are refused: which of them counts is different from program to program.

  #takePax(pax: PaxRecords): void {
    if (this.#ahead !== NOTHING_AHEAD) this.#corrupt('one header that speaks of the next member, not two')
    this.#ahead = { pax }
  }

  #takeLong(key: 'longName' | 'longLink', body: Buffer): void {
    if (this.#ahead.pax !== undefined || this.#ahead[key] !== undefined) {
      this.#corrupt('one header that speaks of the next member, not two')
    }
    const nul = body.indexOf(0)
    const name = nul === -1 ? body : body.subarray(0, nul)
    if (name.length === 0 || body.subarray(name.length).some((byte) => byte !== 0)) {
      this.#corrupt('a name and a NUL in a header that holds a long name')
    }
    this.#ahead = { ...this.#ahead, [key]: name.toString('utf8') }
  }

  *#startMember(header: TarHeaderBlock): Generator<TarEvent, void, undefined> {
    const member = this.#describe(header)
    this.#ahead = NOTHING_AHEAD
    this.#member = member
    const { sizeBytes } = member
    this.#startBody(sizeBytes)
    if (sizeBytes > 0) this.#onBody?.(this.#offset, this.#offset + sizeBytes + paddingOf(sizeBytes))
    this.#state = member.sizeBytes > 0 ? 'body' : 'header'
    yield { type: 'member', member }
    if (member.sizeBytes === 0) yield MEMBER_END
  }

  #describe(header: TarHeaderBlock): TarMember {
    const { pax, longName, longLink } = this.#ahead
    const name = pax?.path ?? longName ?? header.name
    const sizeBytes = pax?.sizeBytes ?? header.sizeBytes
    const isSlashed = name.endsWith('/')
    let type = TYPES.get(header.typeflag) ?? 'unknown'
    if (isSlashed && type === 'file') {
      // Archives of the 1980s have no type for directories. Where the type does say file, programs disagree.
      if (header.typeflag !== '\0') this.#corrupt(`a file whose name does not end in a slash, unlike ${showPath(name)}`)
      type = 'directory'
    }
    if (sizeBytes > 0 && type !== 'file' && type !== 'unknown') {
      // Some programs skip such a body, others read it as headers.
      this.#corrupt(`no body behind ${showPath(name)}, a ${type}`)
    }
    return {
      path: type === 'directory' && isSlashed ? name.slice(0, -1) : name,
      type,
      sizeBytes,
      mode: header.mode,
      mtimeMs: pax?.mtimeMs ?? header.mtimeMs,
      linkPath: type === 'hard link' || type === 'symbolic link' ? (pax?.linkPath ?? longLink ?? header.linkName) : '',
    }
  }

  #startBody(sizeBytes: number): void {
    this.#bodyBytes = sizeBytes
    this.#left = sizeBytes
  }

  #startPadding(): void {
    this.#left = paddingOf(this.#bodyBytes)
    this.#state = this.#left > 0 ? 'padding' : 'header'
  }

  /** The next `wantedBytes` in one piece: a view when the chunk holds them all, else gathered over several chunks. */
  #take(chunk: Buffer, wantedBytes: number): Buffer | undefined {
    const from = this.#at
    const takenBytes = Math.min(wantedBytes - this.#carried, chunk.length - from)
    this.#at += takenBytes
    this.#offset += takenBytes
    if (takenBytes === wantedBytes) return chunk.subarray(from, this.#at)

    const carriedBytes = this.#carried + takenBytes
    if (carriedBytes > this.#carry.length) {
      // Doubled as bytes really come: a size that was only announced takes no memory.
      const grown = Buffer.allocUnsafe(Math.max(carriedBytes, Math.min(wantedBytes, this.#carry.length * 2)))
      this.#carry.copy(grown, 0, 0, this.#carried)
      this.#carry = grown
    }
    chunk.copy(this.#carry, this.#carried, from, this.#at)
    this.#carried = carriedBytes
    if (carriedBytes < wantedBytes) return undefined
    this.#carried = 0
    return this.#carry.subarray(0, wantedBytes)
  }

  /** As much of the body or padding as the chunk holds. */
  #pass(chunk: Buffer): Buffer {
    const bytes = chunk.subarray(this.#at, this.#at + this.#left)
    this.#at += bytes.length
    this.#offset += bytes.length
    this.#left -= bytes.length
    return bytes
  }

  #checkZeros(rest: Buffer): void {
    this.#bytesAfterEnd += rest.length
    if (this.#bytesAfterEnd > TAR_LIMITS.paddingBytes) {
      this.#fail(
        'ARCHIVE_TRAILING_BYTES',
        `expected at most ${TAR_LIMITS.paddingBytes} zero bytes after the end of the archive, found more`,
      )
    }
    const found = rest.findIndex((byte) => byte !== 0)
    if (found !== -1) {
      this.#offset += found
      this.#fail(
        'ARCHIVE_TRAILING_BYTES',
        `expected only zeros after the end of the archive, found more at byte ${this.#offset}`,
      )
    }
    this.#at += rest.length
    this.#offset += rest.length
  }

  #corrupt(expected: string): never {
    this.#fail('ARCHIVE_CORRUPT', `expected ${expected} (archive read up to byte ${this.#offset})`)
  }

  #fail(code: ErrorCode, message: string): never {
    throw new BackupError(code, message, { offset: this.#offset })
  }
}

const isExtension = (typeflag: string): boolean =>
  typeflag === 'x' || typeflag === 'g' || typeflag === 'L' || typeflag === 'K'

const paddingOf = (sizeBytes: number): number => (BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES

/** Source of the numbers: the file formats of gzip, zstd and xz. */
const unpackHint = (block: Buffer): string | undefined => {
  const start = block.toString('hex', 0, 6)
  const program = start.startsWith('1f8b')
    ? 'gzip'
    : start.startsWith('28b52ffd')
      ? 'zstd'
      : start === 'fd377a585a00'
        ? 'xz'
        : undefined
  return program && `the file is compressed: undo that first, with \`${program} -dc FILE\``
}
