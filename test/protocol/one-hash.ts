/** Keys that have one hash, as somebody would make them who has read `pair-table.ts`. */

import { hashEnd, hashOn } from '../../lib/protocol/pair-table.ts'

/** Any number does: what the second half of each key has to make out of the first. */
const WANTED = 0x1234_5678

/** @returns keys of eight plain characters */
export const keysOfOneHash = (count: number): string[] => {
  const keys: string[] = []
  for (let tried = 0; keys.length < count; tried += 1) {
    const bytes = Buffer.from(tried.toString(36).padStart(8, '.'))
    bytes.copyWithin(0, 4)
    bytes.writeInt32LE(hashOn(0, bytes.readInt32LE(0)) ^ WANTED, 4)
    const key = bytes.toString('latin1')
    if (/^[ -<>-~]*$/.test(key)) keys.push(key)
  }
  return keys
}

/** Of ASCII. */
export const hashOfKey = (key: string): number => {
  const bytes = Buffer.from(`${key}\0\0\0`)
  let hash = 0
  let at = 0
  for (; at + 4 <= key.length; at += 4) hash = hashOn(hash, bytes.readInt32LE(at))
  return hashEnd(hash, at < key.length ? bytes.readInt32LE(at) : 0)
}
