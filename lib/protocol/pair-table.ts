/**
 * The pairs of one block, as a map that is cheap to fill.
 *
 *     "user=backup\nsid=nightly\n"        text: one string for many pairs
 *      ^   ^      ^                       start, equals and end of a pair in it
 *
 *     hash of "user" → slot → pair 0      for `get`, and to find a key that stands twice
 *
 * A `Map` has V8 hash every key, one call out of compiled code for each: half of what a
 * block costs. Here the hash is made of four characters at a time, while they are looked at
 * anyway. Keys and values are slices of the text, made when somebody asks for them.
 *
 * Whoever knows this file can send keys of one hash. Such a key stands in a `Map`, so
 * that it costs what it costs there; keys that only want the same slot are passed by their
 * hash alone, 256 of them 33 thousand times at most.
 *
 * Pairs stand in the order in which they came, and none is ever taken out. Pure.
 */

const NOT_THERE = -1

/** At the least, and a power of two in all: some stay free, and a look for a key that is not there soon ends at one. */
const SLOTS_PER_PAIR = 1.25

/** Four characters more, the first one lowest: of the bytes of ASCII it is the word as it lies in memory. */
export const hashOn = (hash: number, word: number): number => {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1) // 2^32 by the golden ratio: every bit goes up
  return mixed ^ (mixed >>> 15) // and comes down
}

/** The last characters, three at most, and zeros above them. The hash is a small integer to V8 on any machine. */
export const hashEnd = (hash: number, word: number): number => hashOn(hash, word) & 0x3fff_ffff

export class PairTable implements ReadonlyMap<string, string> {
  // Made as long as they will be: to grow them costs more than all the rest of a pair.
  readonly #texts: string[]
  readonly #starts: number[]
  readonly #equals: number[]
  readonly #ends: number[]
  readonly #hashes: number[]
  /** Pairs by the lowest bits of their hashes; a slot that is taken sends on to the next. */
  readonly #slots: (number | undefined)[]
  readonly #slotMask: number
  #size = 0
  /** Pairs whose hash an earlier key has. */
  #sameHash: Map<string, number> | undefined

  /** @param mostPairs how many will come at the most */
  constructor(mostPairs: number) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(1, mostPairs) * SLOTS_PER_PAIR))
    this.#texts = new Array(mostPairs)
    this.#starts = new Array(mostPairs)
    this.#equals = new Array(mostPairs)
    this.#ends = new Array(mostPairs)
    this.#hashes = new Array(mostPairs)
    this.#slots = new Array(slots)
    this.#slotMask = slots - 1
  }

  get size(): number {
    return this.#size
  }

  /**
   * Adds a pair of any text.
   *
   * @param line the whole pair
   * @param equals where its first "=" stands
   * @returns which pair has the key already, counted from 0; then nothing is added. -1: none had
   */
  add(line: string, equals: number): number {
    const key = line.slice(0, equals)
    const hash = hashOf(key)
    const earlier = this.#find(key, hash)
    if (earlier !== NOT_THERE) return earlier
    this.#texts[this.#size] = line
    if (!this.addHashed(hash, 0, equals, line.length)) {
      this.#sameHash ??= new Map()
      this.#sameHash.set(key, this.#size)
      this.#place(hash, 0, equals, line.length)
    }
    return NOT_THERE
  }

  /**
   * Adds a pair that lies between two places of a text, which `setText` has to bring before anybody reads.
   *
   * @returns false when an earlier key has this hash, and may be the same: nothing is added
   */
  addHashed(hash: number, start: number, equals: number, end: number): boolean {
    const slots = this.#slots
    const slot = this.#slotOf(hash)
    if (slots[slot] !== undefined) return false
    slots[slot] = this.#size
    this.#place(hash, start, equals, end)
    return true
  }

  /** The text of all pairs from this one on. */
  setText(text: string, fromPair: number): void {
    for (let pair = fromPair; pair < this.#size; pair += 1) this.#texts[pair] = text
  }

  has(key: string): boolean {
    return this.#find(key, hashOf(key)) !== NOT_THERE
  }

  get(key: string): string | undefined {
    const pair = this.#find(key, hashOf(key))
    return pair === NOT_THERE ? undefined : this.#value(pair)
  }

  forEach(callback: (value: string, key: string, map: ReadonlyMap<string, string>) => void, thisArg?: unknown): void {
    for (const [key, value] of this) callback.call(thisArg, value, key, this)
  }

  *keys(): Generator<string, undefined> {
    for (let pair = 0; pair < this.#size; pair += 1) yield this.#key(pair)
  }

  *values(): Generator<string, undefined> {
    for (let pair = 0; pair < this.#size; pair += 1) yield this.#value(pair)
  }

  *entries(): Generator<[string, string], undefined> {
    for (let pair = 0; pair < this.#size; pair += 1) yield [this.#key(pair), this.#value(pair)]
  }

  [Symbol.iterator](): Generator<[string, string], undefined> {
    return this.entries()
  }

  #find(key: string, hash: number): number {
    const pair = this.#slots[this.#slotOf(hash)]
    if (pair === undefined) return NOT_THERE
    return this.#key(pair) === key ? pair : (this.#sameHash?.get(key) ?? NOT_THERE)
  }

  /** The slot of the pair with this hash, or the one where it would stand. There is always one that is free. */
  #slotOf(hash: number): number {
    const slots = this.#slots
    const hashes = this.#hashes
    let slot = hash & this.#slotMask
    for (;;) {
      const pair = slots[slot]
      if (pair === undefined || hashes[pair] === hash) return slot
      slot = (slot + 1) & this.#slotMask
    }
  }

  #place(hash: number, start: number, equals: number, end: number): void {
    const pair = this.#size
    this.#hashes[pair] = hash
    this.#starts[pair] = start
    this.#equals[pair] = equals
    this.#ends[pair] = end
    this.#size = pair + 1
  }

  #text(pair: number): string {
    return this.#texts[pair] as string
  }

  #key(pair: number): string {
    return this.#text(pair).slice(this.#starts[pair], this.#equals[pair])
  }

  #value(pair: number): string {
    return this.#text(pair).slice((this.#equals[pair] as number) + 1, this.#ends[pair])
  }
}

/** Of a text that is no ASCII the characters lie over each other, which costs nothing but a hash that is less good. */
const hashOf = (key: string): number => {
  let hash = 0
  let at = 0
  for (; at + 4 <= key.length; at += 4) {
    const low = key.charCodeAt(at) | (key.charCodeAt(at + 1) << 8)
    hash = hashOn(hash, low | (key.charCodeAt(at + 2) << 16) | (key.charCodeAt(at + 3) << 24))
  }
  let word = 0
  for (let shift = 0; at < key.length; at += 1, shift += 8) word |= key.charCodeAt(at) << shift
  return hashEnd(hash, word)
}
