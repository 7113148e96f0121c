/**
 * The same way as in `pipeline.ts`, for a client that wants the archive compressed.
 *
 *     … ─▶ flow/spill ─▶ compressor ─▶ flow/held-tail ─────────────────────▶ toPackedArchive
 *              raw         a child  └▶ flow/never-quiet ─▶ encodings ─▶ flow/held-tail ▶ toPackedWire
 *
 * The compressor stands behind the spill: the engine is read at the speed of the disk, and
 * not at that of xz. Its stdin is ended only when the archive is whole and the engine has
 * ended well, and the newest bytes that come out of it are held until `decide` has
 * returned. So whatever ends a backup early leaves a compressed stream without its end,
 * and every program that decompresses refuses that. Measured: PROTOCOL.md, "Compression".
 *
 * What the reserve for quiet times holds are compressed bytes, because those are what a
 * client reads.
 */

import type { Filter } from '../engines/index.ts'
import { HeldTail, neverQuiet, PairedOffsets } from '../flow/index.ts'
import {
  Made,
  type PipelineOptions,
  type PipelineSource,
  pieces,
  QUIET_MS,
  reserveBytesFor,
  takeBack,
  WIRE_PER_RAW,
  type WireOptions,
} from './pipeline.ts'

/**
 * More than the end of an archive makes in any format, so that a tar behind the decompressor does not see it either; only
 * the index of an xz can be longer, and that comes behind everything.
 */
const TAIL_BYTES = 64 * 1024

/**
 * A client of 0.76 waits without a limit until the first bytes come, and for 30 s at most from then on. Compressors give
 * little, and late: so the reserve is filled before they do. Half of what the protocol wants a client to wait.
 */
const FIRST_QUIET_MS = 60_000

/** The compressed bytes, in order. Nothing of their end is yielded before the verdict. Otherwise as `toArchive`. */
export async function* toPackedArchive(
  source: PipelineSource,
  options: PipelineOptions,
  compressor: Filter,
): AsyncGenerator<Buffer> {
  const packed = new Packed(source, options, compressor)
  const tail = new HeldTail(TAIL_BYTES)
  let leftBytes = 0
  for await (const chunk of packed.bytes()) {
    for (const bytes of tail.push(chunk)) {
      yield bytes
      leftBytes += bytes.length
      packed.left(leftBytes)
    }
  }
  await packed.decide()
  yield* tail.release()
  packed.leftAll()
}

/** The compressed bytes for the wire of a client that sees no trailer, in bursts. Otherwise as `toWire`. */
export async function* toPackedWire(
  source: PipelineSource,
  options: WireOptions,
  compressor: Filter,
): AsyncGenerator<Buffer[]> {
  const { encoder, blockBytes, wait, nowMs } = options
  const packed = new Packed(source, options, compressor)
  const tail = new HeldTail(TAIL_BYTES)
  const wireEnds = new PairedOffsets() // of the wire, and of the compressed bytes in it
  let [wireBytes, leftBytes, spentBytes] = [0, 0, 0]
  const steady = neverQuiet(packed.bytes(), {
    reserveBytes: reserveBytesFor(blockBytes),
    unitBytes: blockBytes,
    quietMs: QUIET_MS,
    firstQuietMs: FIRST_QUIET_MS,
    wait,
    nowMs,
    onSpent: (reserveBytes) => {
      spentBytes = 0
      options.onQuiet(reserveBytes)
    },
    enough: () => spentBytes >= WIRE_PER_RAW * blockBytes,
  })
  for await (const chunk of steady) {
    const encoded = encoder.encode(chunk)
    // Where the wire is made of other bytes, these have been looked at for the last time.
    if (!encoder.givesViews) compressor.takeBack([chunk])
    const burst: Buffer[] = []
    for (const { wire, rawEnd } of encoded) {
      wireBytes += wire.length
      wireEnds.note(wireBytes, rawEnd)
      burst.push(...tail.push(wire))
    }
    if (burst.length === 0) continue
    const burstBytes = burst.reduce((sum, bytes) => sum + bytes.length, 0)
    spentBytes += burstBytes
    leftBytes += burstBytes
    yield burst
    packed.left(wireEnds.inAt(leftBytes))
  }
  const last = encoder.end().flatMap(({ wire }) => tail.push(wire))
  if (last.length > 0) yield last
  await packed.decide()
  yield tail.release()
  packed.leftAll()
}

/** The archive on its way through the compressor, and how much of it has left. */
class Packed {
  readonly #source: PipelineSource
  readonly #options: PipelineOptions
  readonly #compressor: Filter
  readonly #made = new Made()
  readonly #offsets = new PairedOffsets()
  #packedBytes = 0

  constructor(source: PipelineSource, options: PipelineOptions, compressor: Filter) {
    this.#source = source
    this.#options = options
    this.#compressor = compressor
  }

  /** Ends when the compressor has ended, however: that is for `decide` to see. */
  async *bytes(): AsyncGenerator<Buffer> {
    const archive = pieces(this.#source, this.#options, this.#made)
    // What its pipe has taken is a copy: nobody looks at the engine's bytes any more.
    const onTaken = (piece: Buffer): void => takeBack(this.#source, this.#options.spill, [piece])
    for await (const chunk of this.#compressor.through(archive, onTaken)) {
      this.#packedBytes += chunk.length
      this.#offsets.note(this.#packedBytes, this.#compressor.takenBytes)
      yield chunk
    }
  }

  /** So many compressed bytes have left. */
  left(packedBytes: number): void {
    this.#options.onLeft(this.#offsets.inAt(packedBytes))
  }

  decide(): Promise<void> {
    return this.#options.decide(this.#made.whole, this.#compressor.takenBytes)
  }

  leftAll(): void {
    this.#options.onLeft(this.#compressor.takenBytes)
  }
}
