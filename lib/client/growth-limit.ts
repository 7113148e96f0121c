/**
 * Keeps compressed bytes from growing into more than anybody meant.
 *
 *     a few bytes that arrive ─▶ decompressor ─▶ a full disk
 *
 * Who sends an archive has to send every byte that fills our disk; who sends a compressed
 * one does not. Pages of a server that hold anything grow a few hundred times at most, so
 * that is allowed by far; empty ones grow thirty thousand times, and some of them are
 * allowed whatever the rest is. Where the size is known from a receipt, that is the limit.
 *
 * Pure.
 */

import { BackupError } from '../errors/index.ts'

/** Empty pages: preallocated tablespaces, a redo log. */
const ALLOWANCE_BYTES = 4 * 1024 ** 3

/** InnoDB's page header and trailer alone, all else zero, compress to a four-hundredth. Ten times that. */
const MOST_GROWTH = 4000

export class GrowthLimit {
  readonly #knownBytes: number | undefined
  readonly #hint: string
  #packedBytes = 0
  #bytes = 0

  /**
   * @param knownBytes how large the archive is, where that is known
   * @param hint what to do with an archive that is all right and compresses better than this
   */
  constructor(knownBytes: number | undefined, hint: string) {
    this.#knownBytes = knownBytes
    this.#hint = hint
  }

  get packedBytes(): number {
    return this.#packedBytes
  }

  /** So many compressed bytes more have come. */
  cameIn(bytes: number): void {
    this.#packedBytes += bytes
  }

  /** So many bytes more came out of them. @throws BackupError `COMPRESS_LIMIT` */
  cameOut(bytes: number): void {
    this.#bytes += bytes
    const most = this.#knownBytes ?? ALLOWANCE_BYTES + MOST_GROWTH * this.#packedBytes
    if (this.#bytes <= most) return
    throw new BackupError(
      'COMPRESS_LIMIT',
      `${this.#packedBytes} compressed bytes have grown into more than ${most}`,
      { packedBytes: this.#packedBytes, mostBytes: most },
      this.#knownBytes === undefined ? { hint: this.#hint } : {},
    )
  }
}
