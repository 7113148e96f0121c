/**
 * Drives encoders and decoders over chunks, and cuts wire bytes in every way a network could.
 */

import type { Decoder, Encoder } from '../../lib/encodings/index.ts'
import { BackupError } from '../../lib/errors/index.ts'

export const encodeAll = (encoder: Encoder, chunks: readonly Buffer[]): Buffer =>
  Buffer.concat([...chunks.flatMap((chunk) => encoder.encode(chunk)), ...encoder.end()].map(({ wire }) => wire))

export const decodeAll = (decoder: Decoder, chunks: readonly Buffer[]): Buffer =>
  Buffer.concat([...chunks.flatMap((chunk) => decoder.decode(chunk)), ...decoder.end()])

/** What became of a stream: its bytes, or everything an operator would see of the refusal. A bug stays a bug. */
export const outcomeOf = (decoder: Decoder, chunks: readonly Buffer[]): object => {
  try {
    return { raw: decodeAll(decoder, chunks).toString('hex') }
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    const { code, message, facts } = error
    return { code, message, facts }
  }
}

export const oneByteAtATime = (bytes: Buffer): Buffer[] => Array.from(bytes, (byte) => Buffer.of(byte))

export const cutAt = (bytes: Buffer, offsets: readonly number[]): Buffer[] =>
  [...offsets, bytes.length].map((end, index) => bytes.subarray(offsets[index - 1] ?? 0, end))

/** Whole, cut in two at each byte, one byte at a time. */
export function* everyCut(bytes: Buffer): Generator<{ cut: string; chunks: Buffer[] }> {
  yield { cut: 'nowhere', chunks: [bytes] }
  for (let at = 0; at <= bytes.length; at += 1) yield { cut: `at byte ${at}`, chunks: cutAt(bytes, [at]) }
  yield { cut: 'everywhere', chunks: oneByteAtATime(bytes) }
}
