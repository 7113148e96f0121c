/**
 * What every encoding of this room offers: an encoder and a decoder, fed piece by piece.
 *
 *     raw bytes ─▶ Encoder ─▶ wire bytes ─▶ Decoder ─▶ the same raw bytes
 *
 * Chunks may be cut at any byte, on both sides. An encoder never waits for more than one unit
 * (a uuencode frame, a base64 line): everything else leaves with the call that brought it.
 * A decoder refuses whatever the encoding does not allow and never guesses.
 *
 * Pure: no socket, no clock, no log. Format: PROTOCOL.md, "Stream encodings".
 */

/** Encoded bytes, and how far into the raw stream they reach. */
export interface EncodedPiece {
  readonly wire: Buffer
  /** Raw bytes carried by the stream up to and including this piece. */
  readonly rawEnd: number
}

/** Dresses raw bytes for the wire. Used for one stream; after `end()` it is done. */
export interface Encoder {
  /** Whether wire bytes are views of the raw ones. */
  readonly givesViews: boolean
  /**
   * @param raw lent for this call; only octet-stream hands back a view of it
   * @returns every unit that is full now, in few big pieces; a remainder waits for more or for `end()`
   */
  encode(raw: Buffer): EncodedPiece[]
  /** @returns the remainder as the last, shorter unit; nothing if there is none */
  end(): EncodedPiece[]
  /**
   * Takes wire bytes back that have left, so that the next ones are written in their place. Never necessary.
   *
   * @param wires that nobody looks at any more; what is no whole piece of this encoder is left alone
   */
  takeBack(wires: readonly Buffer[]): void
}

/** Undresses wire bytes. Used for one stream; after `end()` or an error it is done. */
export interface Decoder {
  /**
   * @param wire lent for this call; only octet-stream hands back a view of it
   * @returns the raw bytes of every line that is whole now; nothing while a line is incomplete
   * @throws BackupError `ENCODING_CORRUPT`, with the offset of the first byte that may not stand there
   */
  decode(wire: Buffer): Buffer[]
  /** @throws BackupError `ENCODING_TRUNCATED` when the stream stops inside a frame or a line */
  end(): Buffer[]
  /**
   * Takes raw bytes back that were used up, so that the next ones are written in their place. Never necessary.
   *
   * @param raws that nobody looks at any more; what is no whole piece of this decoder is left alone
   */
  takeBack(raws: readonly Buffer[]): void
}

export interface CodecOptions {
  /**
   * Raw bytes per block: the wire key `agent-stream-block-size`. An encoder without it uses
   * `DEFAULT_BLOCK_BYTES`; a decoder without it takes frames of every block size we allow.
   */
  readonly blockBytes?: number | undefined
  /** Everything in plain JavaScript, also where there is a faster way to the same bytes. For comparisons. */
  readonly plain?: boolean
}
