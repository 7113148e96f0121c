/**
 * Keeps what has left the agent from ever looking like a whole archive.
 *
 *     archive   ── member ──┬── member ──┬── … ──┬ end ┐
 *     may end            no ▲   yes   no ▲       ▲ no, until the verdict
 *
 * A tar reader takes the end of its input for the end of the archive wherever it
 * expects a header. So bytes leave only up to a place where every tar refuses to
 * stop; what lies behind the last such place waits for more, or for the verdict.
 *
 * It sits behind the encoder, because an encoder keeps a remainder of its own: only
 * here it is known which raw byte the wire really ends with.
 *
 * Pure: no socket, no clock. Rule: PROTOCOL.md, "What a cut stream looks like".
 */

/** Encoded bytes, and how many raw bytes have been sent once they are out. */
export interface WirePiece {
  readonly wire: Buffer
  /** Raw (archive) bytes carried by the stream up to and including this piece. */
  readonly rawEnd: number
}

export class HoldBack {
  readonly #isRefusedAt: (rawOffset: number) => boolean
  #held: Buffer[] = []
  #heldBytes = 0

  /** @param isRefusedAt whether every tar refuses an archive cut at this offset; asked with ascending offsets */
  constructor(isRefusedAt: (rawOffset: number) => boolean) {
    this.#isRefusedAt = isRefusedAt
  }

  /** Encoded bytes waiting for what follows them, or for the verdict. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /**
   * Takes the next piece and says what may leave now.
   *
   * @returns buffers in order; empty when the piece has to wait. They leave together, in one write: between two of
   *   them the stream may end where it must not
   */
  push({ wire, rawEnd }: WirePiece): Buffer[] {
    this.#held.push(wire)
    this.#heldBytes += wire.length
    return this.#isRefusedAt(rawEnd) ? this.release() : []
  }

  /** Lets go of everything. For the pipeline alone, and only after a verdict of complete. */
  release(): Buffer[] {
    const free = this.#held
    this.#held = []
    this.#heldBytes = 0
    return free
  }
}
