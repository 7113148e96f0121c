/**
 * How many bytes somebody is willing to take, whatever the other side sends.
 *
 *     compressed bytes ─▶ take ─┐
 *     bytes of the archive ─▶ take ─▶ over the limit: thrown, before they are written
 *
 * Both are counted, each for itself: compressed bytes that never become any of an archive fill
 * no disk here, and would go on for ever. Without a limit nothing is refused: how large a
 * server is, only its owner knows.
 *
 * Pure.
 */

import { BackupError } from '../errors/index.ts'

export class SizeLimit {
  readonly #mostBytes: number
  readonly #what: string
  #bytes = 0

  /** @param what is counted, as a message names it */
  constructor(mostBytes: number | undefined, what: string) {
    this.#mostBytes = mostBytes ?? Number.POSITIVE_INFINITY
    this.#what = what
  }

  /** So many bytes more. @throws BackupError `CLIENT_MAX_BYTES` */
  take(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes <= this.#mostBytes) return
    const mostBytes = this.#mostBytes
    throw new BackupError(
      'CLIENT_MAX_BYTES',
      `expected at most ${mostBytes} bytes of ${this.#what}, found more`,
      { mostBytes },
      { hint: 'raise --max-bytes, if the backup is meant to be that large' },
    )
  }

  /** The same for everything that passes. */
  async *through(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const bytes of chunks) {
      this.take(bytes.length)
      yield bytes
    }
  }
}
