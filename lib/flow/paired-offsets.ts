/**
 * Tells how far a stream has come, when only what was made of it can be counted.
 *
 *     in, raw        0 ──────── 64 KiB ───────── 2 MiB
 *     out, packed    0 ─ 10 B ─────────── 12 KiB ───────
 *
 * A program that compresses does not say which bytes in a byte out holds. What had gone in
 * when it came out is an upper bound, off by what the program keeps in itself. Pure.
 */

interface Pair {
  readonly out: number
  readonly in: number
}

export class PairedOffsets {
  #pairs: Pair[] = []
  #in = 0

  /** Out of the program has come everything up to `out`, when everything up to `in` had gone in. Both only grow. */
  note(out: number, into: number): void {
    this.#pairs.push({ out, in: into })
  }

  /** How much had gone in when the last of the first `out` bytes came out. To be asked with numbers that only grow. */
  inAt(out: number): number {
    const first = this.#pairs.findIndex((pair) => pair.out > out)
    const passed = first === -1 ? this.#pairs.length : first
    if (passed > 0) {
      this.#in = (this.#pairs[passed - 1] as Pair).in
      this.#pairs = this.#pairs.slice(passed)
    }
    return this.#in
  }
}
