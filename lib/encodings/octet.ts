/**
 * `application/octet-stream`: the bytes as they are.
 *
 * Hands on views of what it was given, never copies, and keeps nothing. There is nothing to
 * refuse: whether the stream is whole is for the archive inside to tell.
 */

import type { Decoder, EncodedPiece, Encoder } from './codec.ts'

export class OctetEncoder implements Encoder {
  readonly givesViews = true
  #rawEnd = 0

  encode(raw: Buffer): EncodedPiece[] {
    if (raw.length === 0) return []
    this.#rawEnd += raw.length
    return [{ wire: raw, rawEnd: this.#rawEnd }]
  }

  end(): EncodedPiece[] {
    return []
  }

  takeBack(): void {} // they are the caller's own
}

export class OctetDecoder implements Decoder {
  decode(wire: Buffer): Buffer[] {
    return wire.length === 0 ? [] : [wire]
  }

  end(): Buffer[] {
    return []
  }

  takeBack(): void {} // they are the caller's own
}
