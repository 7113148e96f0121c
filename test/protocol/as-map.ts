/** A block as a plain `Map`, which can be compared. Throws when the block does not say the same at each of its doors. */

import { isDeepStrictEqual } from 'node:util'

import type { KvBlock } from '../../lib/protocol/index.ts'

export const asMap = (block: KvBlock): Map<string, string> => {
  const map = new Map(block)
  const [said, wanted] = [everythingOf(block, map), everythingOf(map, map)]
  if (isDeepStrictEqual(said, wanted)) return map
  throw new Error(`a block says ${JSON.stringify(said)}, a Map would say ${JSON.stringify(wanted)}`)
}

/** @param pairs whose keys are asked for, and keys that are like them and are not there */
const everythingOf = (map: KvBlock, pairs: KvBlock): unknown => {
  const visited: unknown[] = []
  map.forEach((value, key, visiting) => void visited.push([key, value, visiting === map]))
  const asked = [...pairs.keys()].flatMap((key) => [key, `${key}x`, `x${key}`, key.slice(1), key.slice(0, -1)])
  return {
    size: map.size,
    pairs: [...map],
    entries: [...map.entries()],
    keys: [...map.keys()],
    values: [...map.values()],
    visited,
    asked: [...asked, '', '=', 'toString', '__proto__'].map((key) => [key, map.get(key), map.has(key)]),
  }
}
