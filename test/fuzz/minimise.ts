/**
 * Makes an input smaller as long as it shows the same finding.
 *
 * Leaves out halves, then quarters, and so on to single bytes; then puts plain letters where
 * the bytes do not matter. Gives up after a number of tries: small enough is enough.
 */

const MAX_TRIES = 3000
const PLAIN = 0x61

export const minimise = async (input: Buffer, shows: (smaller: Buffer) => Promise<boolean>): Promise<Buffer> => {
  let tries = 0
  let best: Buffer = input
  const attempt = async (smaller: Buffer): Promise<boolean> => {
    tries += 1
    if (tries > MAX_TRIES || !(await shows(smaller))) return false
    best = smaller
    return true
  }
  for (let length = best.length >> 1; length >= 1 && tries < MAX_TRIES; length >>= 1) {
    for (let at = 0; at < best.length && tries < MAX_TRIES; ) {
      const without = Buffer.concat([best.subarray(0, at), best.subarray(at + length)])
      if (!(await attempt(without))) at += length
    }
  }
  for (let at = 0; at < best.length && tries < MAX_TRIES; at += 1) {
    if (best[at] === PLAIN) continue
    const plain = Buffer.from(best)
    plain[at] = PLAIN
    await attempt(plain)
  }
  return best
}
