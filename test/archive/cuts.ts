/** Ways in which a wire may deliver the same bytes. */

export interface Cut {
  readonly cut: string
  readonly chunks: readonly Buffer[]
}

/** Whole, in two at every byte, and one byte at a time. Every chunk has memory of its own, as off a wire. */
export const everyCut = (bytes: Buffer): Cut[] => {
  const cuts: Cut[] = [
    { cut: 'nowhere', chunks: [Buffer.from(bytes)] },
    { cut: 'everywhere', chunks: [...bytes].map((byte) => Buffer.of(byte)) },
  ]
  for (let at = 1; at < bytes.length; at += 1) {
    cuts.push({ cut: `at byte ${at}`, chunks: [Buffer.from(bytes.subarray(0, at)), Buffer.from(bytes.subarray(at))] })
  }
  return cuts
}

/** In pieces of this size, as a child's pipe delivers them. */
export const inPieces = function* (bytes: Buffer, pieceBytes = 64 * 1024): Generator<Buffer, void, undefined> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield Buffer.from(bytes.subarray(at, at + pieceBytes))
}
