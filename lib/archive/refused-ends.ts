/**
 * Knows at which offsets a cut archive is refused by every tar that unpacks it.
 *
 *     header │ body · padding │ header │ body · padding │ zero block · zero block │
 *            └── refused ─────┘        └── refused ─────┘              allowed ───┘
 *
 * GNU tar exits 0 on an archive that stops at a member's end, and anywhere in the header behind it; it exits 2 where a
 * body that was announced is not all there. So what has left the agent must always end inside a body, until the whole
 * archive is there. Only a member's own body counts: Python 3.13 takes a cut pax header for none. An empty file has none.
 *
 * The agent asks before it lets bytes go. Pure. Source: measured with GNU tar 1.34 and 1.35, bsdtar 3.6 and 3.7, Python
 * 3.11 and 3.13, and kept so by test/archive/refused-ends.test.ts; the rule that builds on it: PROTOCOL.md, "The archive".
 */

import { TarReader } from './tar-reader.ts'

/** Forgotten entries are cut off only now and then: cutting moves all that is left. */
const CUT_OFF_ENTRIES = 4096

export class RefusedEnds {
  // Bodies in the order of the archive, as two columns. They never overlap.
  readonly #starts: number[] = []
  readonly #ends: number[] = []
  #cursor = 0 // the body that the last question was about, or the one behind it
  #forgotten = 0
  #endOffset = Number.POSITIVE_INFINITY
  readonly #reader = new TarReader({
    onBody: (startOffset, paddedEndOffset) => {
      this.#starts.push(startOffset)
      this.#ends.push(paddedEndOffset)
    },
  })

  /**
   * Reads the archive on. Nothing of the chunk is kept.
   *
   * @throws BackupError as `TarReader.push`: what leaves the agent must be readable
   */
  push(tarBytes: Buffer): void {
    for (const event of this.#reader.push(tarBytes)) {
      if (event.type === 'end') this.#endOffset = this.#reader.offset
    }
  }

  /**
   * Whether every tar refuses the archive's first `offset` bytes, or those are the whole of it.
   *
   * Offsets that were not read yet are answered as far as the headers read so far say: a body is known in advance,
   * what comes behind it is not, and then the answer is no. Asking in ascending order costs next to nothing.
   */
  isRefusedAt(offset: number): boolean {
    if (offset >= this.#endOffset) return true
    while (this.#cursor > this.#forgotten && offset < (this.#ends[this.#cursor - 1] ?? 0)) this.#cursor -= 1
    while (this.#cursor < this.#ends.length && offset >= (this.#ends[this.#cursor] ?? 0)) this.#cursor += 1
    const start = this.#starts[this.#cursor]
    return start !== undefined && offset >= start
  }

  /** Frees what is known about smaller offsets: they are not asked for again. */
  forgetBelow(offset: number): void {
    while (this.#forgotten < this.#ends.length && offset >= (this.#ends[this.#forgotten] ?? 0)) this.#forgotten += 1
    this.#cursor = Math.max(this.#cursor, this.#forgotten)
    if (this.#forgotten < CUT_OFF_ENTRIES) return
    this.#starts.splice(0, this.#forgotten)
    this.#ends.splice(0, this.#forgotten)
    this.#cursor -= this.#forgotten
    this.#forgotten = 0
  }
}
