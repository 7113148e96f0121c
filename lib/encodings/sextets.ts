/**
 * Tables between bytes and sextets (6 bits in one character), two characters at a time.
 *
 *     raw     aaaaaaaa bbbbbbbb cccccccc        three bytes
 *     pairs   aaaaaaaabbbb bbbbcccccccc         two numbers of 12 bits, each the index of a table
 *     wire    ch  ch       ch  ch               two characters a number
 *
 * Twelve bits are the sweet spot: half the look-ups of single characters, and tables that stay
 * in the processor's first cache.
 */

/** Bit that a pair has when one of its characters is not in the alphabet. Or many pairs together and test once. */
export const ILLEGAL_PAIR = 0x8000

/**
 * @param characterOf the character code for a sextet of 0 to 63
 * @returns 4096 entries: twelve bits -> two characters, in the order in which this machine stores two bytes
 */
export const writingTable = (characterOf: (sextet: number) => number): Uint16Array => {
  const bytes = new Uint8Array(2 * 4096)
  for (let pair = 0; pair < 4096; pair += 1) {
    bytes[2 * pair] = characterOf(pair >> 6)
    bytes[2 * pair + 1] = characterOf(pair & 63)
  }
  return new Uint16Array(bytes.buffer) // the machine's own byte order, for reading and writing alike
}

/**
 * @param sextetOf the sextet for a byte of 0 to 255, `undefined` when the byte is not in the alphabet
 * @returns 65536 entries: `first character << 8 | second character` -> twelve bits, or `ILLEGAL_PAIR`
 */
export const readingTable = (sextetOf: (byte: number) => number | undefined): Uint16Array => {
  const table = new Uint16Array(65_536).fill(ILLEGAL_PAIR)
  for (let first = 0; first < 256; first += 1) {
    const high = sextetOf(first)
    if (high === undefined) continue
    for (let second = 0; second < 256; second += 1) {
      const low = sextetOf(second)
      if (low !== undefined) table[(first << 8) | second] = (high << 6) | low
    }
  }
  return table
}

/**
 * Turns groups of four characters into groups of three bytes.
 *
 * @param table of `readingTable`
 * @param wireStart where the first group begins; `wireEnd` is where the last one ends
 * @param raw takes three bytes a group from `rawStart` on
 * @returns whether all characters were legal; if not, what was written is rubbish
 */
export const readGroups = (
  table: Uint16Array,
  wire: Uint8Array,
  wireStart: number,
  wireEnd: number,
  raw: Uint8Array,
  rawStart: number,
): boolean => {
  let illegal = 0
  let to = rawStart
  for (let at = wireStart; at < wireEnd; at += 4) {
    const first = table[((wire[at] as number) << 8) | (wire[at + 1] as number)] as number
    const second = table[((wire[at + 2] as number) << 8) | (wire[at + 3] as number)] as number
    illegal |= first | second
    raw[to] = first >> 4
    raw[to + 1] = (first << 4) | (second >> 8) // a typed array keeps the low eight bits
    raw[to + 2] = second
    to += 3
  }
  return (illegal & ILLEGAL_PAIR) === 0
}
