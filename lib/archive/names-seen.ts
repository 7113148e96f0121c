/**
 * Which names have been seen, of millions: kept as the bytes that they are, looked up and added in one go.
 *
 *     slots   hash u32 · place u32          at least twice as many as names; a name stands near where its hash says
 *     blocks  length u16 · bytes            one name behind the other
 *
 * A `Set` of strings says the same. But it wants an object of every name, which is hashed apart and moved about by the
 * garbage collector: the most expensive thing about a small file, beside its bytes.
 *
 * Names that are made so that their hashes are alike end up in such a set, after a few: none takes longer than those few.
 *
 * Pure.
 */

const BLOCK_BYTES = 64 * 1024
const LENGTH_BYTES = 2
/** What a length can say, in a block. */
const MAX_NAME_BYTES = BLOCK_BYTES - LENGTH_BYTES - 1

const FIRST_SLOTS = 1024
/** Looked at for one name, at most. Half of the slots are free: without malice it is one or two. */
const MAX_PROBES = 64

const FREE = 0

export class NamesSeen {
  /** In pairs: the hash of a name, and its place plus one, or `FREE`. */
  #slots = new Uint32Array(2 * FIRST_SLOTS)
  #mask = FIRST_SLOTS - 1
  readonly #blocks: Buffer[] = []
  /** The last of them, and how much of it is used. */
  #block: Buffer = Buffer.alloc(0)
  #used = 0
  #inSlots = 0
  /** Those that found no slot, a character for a byte. */
  readonly #crowded = new Set<string>()

  get size(): number {
    return this.#inSlots + this.#crowded.size
  }

  /**
   * @param at where in `bytes` the name begins, 1 to 65533 bytes before `end`
   * @returns false when it had been seen
   */
  add(bytes: Buffer, at: number, end: number): boolean {
    const hash = hashOf(bytes, at, end)
    const slot = this.#find(hash, bytes, at, end)
    if (slot >= 0 && this.#slots[2 * slot + 1] !== FREE) return false
    if (this.#crowded.size > 0 && this.#crowded.has(bytes.toString('latin1', at, end))) return false
    if (slot < 0) {
      this.#crowded.add(bytes.toString('latin1', at, end))
      return true
    }
    this.#slots[2 * slot] = hash
    this.#slots[2 * slot + 1] = this.#store(bytes, at, end) + 1
    this.#inSlots += 1
    if (2 * this.#inSlots > this.#mask) this.#grow()
    return true
  }

  has(bytes: Buffer, at: number, end: number): boolean {
    const slot = this.#find(hashOf(bytes, at, end), bytes, at, end)
    if (slot >= 0 && this.#slots[2 * slot + 1] !== FREE) return true
    return this.#crowded.size > 0 && this.#crowded.has(bytes.toString('latin1', at, end))
  }

  /** @returns the slot of that name, or the free one where it belongs; -1 when there is neither */
  #find(hash: number, bytes: Buffer, at: number, end: number): number {
    const slots = this.#slots
    const mask = this.#mask
    for (let probe = 0, slot = hash & mask; probe < MAX_PROBES; probe += 1, slot = (slot + 1) & mask) {
      const place = slots[2 * slot + 1] as number
      if (place === FREE) return slot
      if (slots[2 * slot] === hash && this.#isAt(place - 1, bytes, at, end)) return slot
    }
    return -1
  }

  #isAt(place: number, bytes: Buffer, at: number, end: number): boolean {
    const block = this.#blocks[Math.floor(place / BLOCK_BYTES)] as Buffer
    const stored = (place % BLOCK_BYTES) + LENGTH_BYTES
    if (block.readUInt16LE(stored - LENGTH_BYTES) !== end - at) return false
    for (let index = at; index < end; index += 1) {
      if (bytes[index] !== block[stored + index - at]) return false
    }
    return true
  }

  /** @returns its place */
  #store(bytes: Buffer, at: number, end: number): number {
    const length = end - at
    if (length === 0 || length > MAX_NAME_BYTES) throw new Error(`bug: a name of ${length} bytes`)
    if (this.#used + LENGTH_BYTES + length > this.#block.length) {
      this.#block = Buffer.allocUnsafeSlow(BLOCK_BYTES)
      this.#blocks.push(this.#block)
      this.#used = 0
    }
    const block = this.#block
    const from = this.#used
    block[from] = length & 0xff
    block[from + 1] = length >>> 8
    // A loop: for so few bytes a call into the system's own is slower.
    for (let index = at; index < end; index += 1) block[from + LENGTH_BYTES + index - at] = bytes[index] as number
    this.#used = from + LENGTH_BYTES + length
    return (this.#blocks.length - 1) * BLOCK_BYTES + from
  }

  #grow(): void {
    const before = this.#slots
    this.#slots = new Uint32Array(2 * before.length)
    this.#mask = this.#slots.length / 2 - 1
    for (let index = 0; index < before.length; index += 2) {
      const place = before[index + 1] as number
      if (place !== FREE) this.#move(before[index] as number, place)
    }
  }

  #move(hash: number, place: number): void {
    for (let probe = 0, slot = hash & this.#mask; probe < MAX_PROBES; probe += 1, slot = (slot + 1) & this.#mask) {
      if (this.#slots[2 * slot + 1] !== FREE) continue
      this.#slots[2 * slot] = hash
      this.#slots[2 * slot + 1] = place
      return
    }
    const block = this.#blocks[Math.floor((place - 1) / BLOCK_BYTES)] as Buffer
    const stored = ((place - 1) % BLOCK_BYTES) + LENGTH_BYTES
    this.#crowded.add(block.toString('latin1', stored, stored + block.readUInt16LE(stored - LENGTH_BYTES)))
    this.#inSlots -= 1
  }
}

/** FNV-1a of 32 bits, and the end of MurmurHash3, which spreads what the last bytes say. */
const hashOf = (bytes: Buffer, at: number, end: number): number => {
  let hash = 0x811c9dc5
  for (let index = at; index < end; index += 1) hash = Math.imul(hash ^ (bytes[index] as number), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
