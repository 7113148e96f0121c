/**
 * An archive on its way in: undressed, counted and digested as it passes.
 *
 *     wire ─▶ decoder │ frame reader ─▶ decompressor ─┬▶ sha256, bytes
 *                        │               │            └▶ yielded
 *                        │               └▶ the compressed bytes, for who keeps those
 *                        ├▶ progress, told
 *                        └▶ the agent's verdict, compared with what has arrived
 *
 * A framed archive ends only with the agent's word that it is complete and is the one that it
 * has sent. A plain one ends when the connection does, which proves nothing: its own end must.
 *
 * Memory: one chunk, and what it was undressed into, which is used again for the next where the reader has done with it.
 * Rules: PROTOCOL.md, "x-framed-stream".
 */

import { createHash } from 'node:crypto'

import { createDecoder, type EncodingName, FrameReader } from '../encodings/index.ts'
import type { Packing } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { SideDigest } from '../flow/index.ts'
import { type CompleteBlock, type FailedBlock, type ProgressBlock, readEnd, readProgress } from '../protocol/index.ts'
import { backupFailed } from './agent-answer.ts'
import { GrowthLimit } from './growth-limit.ts'
import type { PackedFacts } from './packed-file.ts'
import type { StreamEncoding } from './request.ts'
import { SizeLimit } from './size-limit.ts'
import { unpacked } from './unpack.ts'

export interface ArrivalOptions {
  readonly encoding: StreamEncoding
  /** What the archive is compressed with on the wire. */
  readonly packing?: Packing | undefined
  /** Most bytes of the archive, and of its compressed form. */
  readonly maxBytes?: number | undefined
  /**
   * Whether whoever reads the archive has done with a piece when it asks for the next: then what it was undressed into
   * is used again.
   */
  readonly usesUp?: boolean
  /** Takes the compressed bytes as they pass. */
  keepPacked?(bytes: Buffer): Promise<void>
  /** Stops a decompressor. */
  readonly signal?: AbortSignal
  onBytes(bytes: number): void
  onProgress(progress: ProgressBlock): void
}

export class Arrival {
  readonly #options: ArrivalOptions
  readonly #sha256 = new SideDigest()
  #bytes = 0
  #digest: string | undefined
  #verdict: CompleteBlock | undefined
  readonly #packedSha256 = createHash('sha256')
  #packedBytes = 0
  #packed: PackedFacts | undefined

  constructor(options: ArrivalOptions) {
    this.#options = options
  }

  /** What the agent said when all of it was there; never for a plain encoding. */
  get verdict(): CompleteBlock | undefined {
    return this.#verdict
  }

  /** Of the archive, hexadecimal. Asked when `bytes` was read to its end. */
  get digest(): string {
    if (this.#digest === undefined) throw new Error('bug: the digest of an archive before its end')
    return this.#digest
  }

  /** What has arrived, compressed. Asked when nothing more comes. */
  get packed(): PackedFacts | undefined {
    const { packing } = this.#options
    if (packing === undefined) return undefined
    this.#packed ??= { packing, bytes: this.#packedBytes, sha256: this.#packedSha256.digest('hex') }
    return this.#packed
  }

  /**
   * The archive's bytes.
   *
   * @param wire read to its end, or to the end frame
   * @throws BackupError `FRAME_*`, `PROTOCOL_*`, `ENCODING_*`, `COMPRESS_*`, `CLIENT_MAX_BYTES`; `CLIENT_BACKUP_FAILED` when the agent says so,
   *   `CLIENT_MISMATCH` when it has sent something else; what the wire throws
   */
  async *bytes(wire: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const { encoding, usesUp = false, maxBytes } = this.#options
    const limit = new SizeLimit(maxBytes, 'archive')
    try {
      for await (const archive of this.#unpacked(
        encoding === 'framed' ? this.#unframed(wire) : undressed(wire, encoding, usesUp),
      )) {
        limit.take(archive.length)
        const room = this.#sha256.update(archive)
        if (room !== undefined) await room
        this.#bytes += archive.length
        this.#options.onBytes(archive.length)
        yield archive
      }
      this.#digest = await this.#sha256.finish()
    } finally {
      this.#sha256.close()
    }
    if (this.#verdict !== undefined) this.#compare(this.#verdict)
  }

  #unpacked(undressed: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
    const { packing, signal = new AbortController().signal } = this.#options
    if (packing === undefined) return undressed
    return unpacked(this.#kept(undressed), packing, new GrowthLimit(undefined, UNCOMPRESSED), signal)
  }

  async *#kept(packed: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    // Bytes that nothing comes out of fill a disk here too, where they are kept, and go on for ever.
    const limit = new SizeLimit(this.#options.maxBytes, 'compressed archive')
    for await (const bytes of packed) {
      limit.take(bytes.length)
      this.#packedBytes += bytes.length
      this.#packedSha256.update(bytes)
      await this.#options.keepPacked?.(bytes)
      yield bytes
    }
  }

  async *#unframed(wire: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const reader = new FrameReader()
    let end: Buffer | undefined
    for await (const chunk of wire) {
      // To the end of the chunk, the end frame notwithstanding: nothing may stand behind it.
      for (const event of reader.push(chunk)) {
        if (event.type === 'data') yield event.bytes
        else if (event.type === 'progress') this.#options.onProgress(readProgress(event.block))
        else end = event.block
      }
      if (end !== undefined) break
    }
    if (end === undefined) {
      reader.end()
      throw new Error('bug: a FrameReader without an end frame lets the end pass')
    }
    const verdict = readEnd(end)
    if (verdict.status === 'FAILED') throw failed(verdict)
    this.#verdict = verdict // from here on the agent waits to be told what became of it
  }

  #compare(verdict: CompleteBlock): void {
    const differing =
      verdict.bytes !== this.#bytes
        ? `${verdict.bytes} bytes of archive, found ${this.#bytes}`
        : verdict.sha256 !== this.digest
          ? `an archive with the digest ${verdict.sha256}, found ${this.digest}`
          : undefined
    if (differing === undefined) return
    throw new BackupError('CLIENT_MISMATCH', `expected ${differing}: what arrived is not what the agent has sent`, {
      bytes: this.#bytes,
      agentBytes: verdict.bytes,
    })
  }
}

const UNCOMPRESSED = 'fetch it without --compress, if it is mostly empty pages'

async function* undressed(
  wire: AsyncIterable<Buffer>,
  encoding: EncodingName,
  usesUp: boolean,
): AsyncGenerator<Buffer> {
  const decoder = createDecoder(encoding)
  for await (const bytes of wire) {
    for (const raw of decoder.decode(bytes)) {
      yield raw
      if (usesUp) decoder.takeBack([raw]) // who reads has asked for the next
    }
  }
  yield* decoder.end()
}

const failed = ({ msg, code, bytes, engineExit, engineSignal }: FailedBlock): BackupError =>
  backupFailed(msg, {
    agentCode: code,
    bytes,
    ...(engineExit === undefined ? {} : { engineExit }),
    ...(engineSignal === undefined ? {} : { engineSignal }),
  })
