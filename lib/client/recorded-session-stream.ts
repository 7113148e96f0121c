/**
 * Looks at a stream as it arrives: decodes it, reads the archive in it, remembers what
 * a session file can say about it.
 *
 * A whole archive is proved as the client of a real fetch proves it. A cut one is looked
 * at for the one thing it has to be: refused by every tar; in frames it need not be that,
 * for there the end frame is missing or says so.
 */

import { createHash } from 'node:crypto'
import { gunzipSync } from 'node:zlib'

import { type ArchiveMark, ArchiveProof, RefusedEnds, type TarMember, TarReader } from '../archive/index.ts'
import { createDecoder, FrameReader, uuencodedBytes } from '../encodings/index.ts'
import { BackupError } from '../errors/index.ts'
import { readEnd, readProgress } from '../protocol/index.ts'
import type { SessionCompression, SessionEncoding } from './recorded-session.ts'

export interface StreamFacts {
  readonly archive: 'whole' | 'cut'
  /** Of a framed stream: `P` when it began with progress, `D` when data came, `E` when the end frame came. */
  readonly frames: string | undefined
  /** The block in the end frame, a line each with its newline; none when there was no end frame. */
  readonly endLines: readonly Buffer[]
  readonly mark: ArchiveMark | undefined
  readonly members: readonly TarMember[]
  /** Bytes of the archive, before encoding. */
  readonly bytes: number
  readonly sha256: string
}

/** What an end in the middle looks like to decoder and proof; everything else is a fault of its own. */
const CUT_CODES: ReadonlySet<string> = new Set([
  'ENCODING_TRUNCATED',
  'FRAME_TRUNCATED',
  'ARCHIVE_TRUNCATED',
  'ARCHIVE_METADATA_MISSING',
  'COMPRESS_CORRUPT',
])

/** A recorded session is small; and its compressed archive is undone in one go. */
const MAX_PACKED_BYTES = 64 * 1024 * 1024

export class StreamInspector {
  readonly #decoder: ReturnType<typeof createDecoder> | Unframer
  readonly #frames: FrameSizes | undefined
  readonly #proof = new ArchiveProof()
  readonly #reader = new TarReader()
  readonly #ends = new RefusedEnds()
  readonly #sha256 = createHash('sha256')
  readonly #members: TarMember[] = []
  #mark: ArchiveMark | undefined
  #bytes = 0
  readonly #packed: Buffer[] | undefined
  #packedBytes = 0

  /** @param blockBytes when given, uuencode must come in the frames that this block size gives */
  constructor(encoding: SessionEncoding, blockBytes?: number, compression?: SessionCompression) {
    this.#packed = compression === undefined ? undefined : []
    this.#decoder = encoding === 'framed' ? new Unframer() : createDecoder(encoding)
    this.#frames = encoding === 'uuencode' && blockBytes !== undefined ? new FrameSizes(blockBytes) : undefined
  }

  /** Whether an end frame came: nothing more belongs to the stream, and the client may say its receipt. */
  get ended(): boolean {
    return this.#decoder instanceof Unframer && this.#decoder.ended
  }

  /**
   * @throws BackupError `ENCODING_*`, `FRAME_*`, `ARCHIVE_*` when it cannot be the beginning of a good stream,
   *   `PROTOCOL_*` for a block in it that cannot be
   */
  push(wire: Buffer): void {
    this.#frames?.push(wire)
    for (const bytes of this.#decoder.decode(wire)) this.#takeDecoded(bytes)
  }

  /** @throws BackupError when the end is neither that of a whole archive nor one that every tar refuses */
  finish(): StreamFacts {
    const cut = this.#cutBecause()
    const unframer = this.#decoder instanceof Unframer ? this.#decoder : undefined
    if (cut !== undefined && unframer?.status === 'COMPLETE') throw cut
    if (cut !== undefined && unframer === undefined && this.#bytes > 0 && !this.#ends.isRefusedAt(this.#bytes)) {
      throw new BackupError(
        'ARCHIVE_TRUNCATED',
        `the archive is cut after ${this.#bytes} bytes, where a tar program takes it for whole`,
        { bytes: this.#bytes },
        { cause: cut },
      )
    }
    return {
      archive: cut === undefined ? 'whole' : 'cut',
      frames: unframer?.frames,
      endLines: unframer?.endLines ?? [],
      mark: this.#mark,
      members: this.#members,
      bytes: this.#bytes,
      sha256: this.#sha256.digest('hex'),
    }
  }

  #takeDecoded(bytes: Buffer): void {
    if (this.#packed === undefined) {
      this.#take(bytes)
      return
    }
    this.#packedBytes += bytes.length
    if (this.#packedBytes > MAX_PACKED_BYTES) {
      throw new BackupError('COMPRESS_LIMIT', `expected at most ${MAX_PACKED_BYTES} compressed bytes, found more`)
    }
    this.#packed.push(Buffer.from(bytes))
  }

  #take(raw: Buffer): void {
    this.#bytes += raw.length
    this.#sha256.update(raw)
    this.#ends.push(raw)
    this.#proof.push(raw)
    for (const event of this.#reader.push(raw)) {
      if (event.type === 'mark') this.#mark = event.mark
      if (event.type === 'member') this.#members.push(event.member)
    }
  }

  #cutBecause(): BackupError | undefined {
    try {
      for (const bytes of this.#decoder.end()) this.#takeDecoded(bytes)
      if (this.#packed !== undefined) this.#take(gunzippedAtOnce(Buffer.concat(this.#packed)))
      this.#proof.finish()
      return undefined
    } catch (error) {
      if (error instanceof BackupError && CUT_CODES.has(error.code)) return error
      throw error
    }
  }
}

/** @throws BackupError `COMPRESS_CORRUPT` for a cut one; what zlib throws for anything else */
const gunzippedAtOnce = (packed: Buffer): Buffer => {
  try {
    return gunzipSync(packed)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'Z_BUF_ERROR') throw cause
    throw new BackupError('COMPRESS_CORRUPT', 'the compressed archive stops before its end', {}, { cause })
  }
}

/** Takes the archive out of its frames, and remembers what else there was. */
class Unframer {
  readonly #reader = new FrameReader()
  #beginsWithProgress = false
  #data = false
  #seen = false
  #end: Buffer | undefined

  get ended(): boolean {
    return this.#reader.ended
  }

  get frames(): string {
    return `${this.#beginsWithProgress ? 'P' : ''}${this.#data ? 'D' : ''}${this.#end === undefined ? '' : 'E'}`
  }

  get status(): 'COMPLETE' | 'FAILED' | undefined {
    return this.#end === undefined ? undefined : readEnd(this.#end).status
  }

  get endLines(): Buffer[] {
    const text = this.#end?.toString('latin1') ?? ''
    return (text.match(/[^\n]*\n/g) ?? []).map((line) => Buffer.from(line, 'latin1'))
  }

  /** @throws BackupError `FRAME_CORRUPT`; `PROTOCOL_*` for a block that cannot be */
  decode(wire: Buffer): Buffer[] {
    const archive: Buffer[] = []
    for (const event of this.#reader.push(wire)) {
      if (event.type === 'data') {
        this.#data = true
        archive.push(event.bytes)
      } else if (event.type === 'progress') {
        this.#beginsWithProgress ||= !this.#seen
        readProgress(event.block)
      } else {
        readEnd(event.block)
        this.#end = event.block
      }
      this.#seen = true
    }
    return archive
  }

  /** @throws BackupError `FRAME_TRUNCATED` */
  end(): Buffer[] {
    this.#reader.end()
    return []
  }
}

const PREFIX_BYTES = 4
/** A deployed client stops at a frame longer than this many times the block size. Source: wire-facts, "Stream". */
const DEPLOYED_CLIENT_FACTOR = 1.38

/**
 * Checks that the frames of uuencode are those the client asked for, which reads a frame at a time.
 *
 * All but the last are equal, none is longer than a deployed client takes; and where a
 * whole block fits into that, they carry a whole block.
 */
class FrameSizes {
  readonly #blockBytes: number
  readonly #prefix = Buffer.alloc(PREFIX_BYTES)
  #prefixHave = 0
  #bodyLeft = 0
  #frames = 0
  #lastBytes = 0
  #usualBytes: number | undefined

  constructor(blockBytes: number) {
    const whole = uuencodedBytes(blockBytes)
    this.#blockBytes = blockBytes
    this.#usualBytes = whole <= this.#maxBytes() ? whole : undefined
  }

  push(wire: Buffer): void {
    for (let at = 0; at < wire.length; ) {
      if (this.#bodyLeft > 0) {
        const taken = Math.min(this.#bodyLeft, wire.length - at)
        this.#bodyLeft -= taken
        at += taken
        continue
      }
      const taken = wire.copy(this.#prefix, this.#prefixHave, at)
      this.#prefixHave += taken
      at += taken
      if (this.#prefixHave === PREFIX_BYTES) this.#open(this.#prefix.readUInt32BE())
    }
  }

  #open(bodyBytes: number): void {
    if (this.#frames > 0) {
      this.#usualBytes ??= this.#lastBytes
      if (this.#lastBytes !== this.#usualBytes) this.#refuse(`${this.#lastBytes} in one that is not the last`)
    }
    this.#frames += 1
    this.#prefixHave = 0
    this.#bodyLeft = bodyBytes
    this.#lastBytes = bodyBytes
    if (bodyBytes > (this.#usualBytes ?? this.#maxBytes())) this.#refuse(`${bodyBytes}`)
  }

  #maxBytes(): number {
    return DEPLOYED_CLIENT_FACTOR * this.#blockBytes
  }

  #refuse(found: string): never {
    const usual = this.#usualBytes ?? `at most ${Math.floor(this.#maxBytes())}`
    throw new BackupError(
      'ENCODING_CORRUPT',
      `expected frames of ${usual} bytes for blocks of ${this.#blockBytes}, only the last shorter, found ${found} (frame ${this.#frames})`,
      { frame: this.#frames },
    )
  }
}
