/**
 * What our client makes of bytes off a wire, without the wire: its own decoder, its own
 * comparison with the agent's word, its own proof of the archive.
 *
 *     wire ─▶ Arrival ─▶ ArchiveProof
 *
 * The same parts that `fetchBackup` puts together (`lib/client/fetch.ts`); what it adds, the
 * socket and the file, is tried with whole programs on a part of the cases.
 */

import { ArchiveProof } from '../../lib/archive/index.ts'
import { Arrival } from '../../lib/client/arrival.ts'
import { BackupError } from '../../lib/errors/index.ts'
import type { Encoding } from './product.ts'

/** The digest of the archive that was taken for a whole backup, or the code with which it was refused. */
export type Received = { readonly taken: string } | { readonly refused: string }

export const receive = async (encoding: Encoding, chunks: readonly Buffer[]): Promise<Received> => {
  const arrival = new Arrival({ encoding, onBytes: () => {}, onProgress: () => {} })
  const proof = new ArchiveProof()
  try {
    for await (const bytes of arrival.bytes(toAsync(chunks))) proof.push(bytes)
    proof.finish()
    return { taken: arrival.digest }
  } catch (error) {
    if (error instanceof BackupError) return { refused: error.code }
    throw error // a crash is no refusal
  }
}

async function* toAsync(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks
}
