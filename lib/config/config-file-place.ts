/**
 * Finds the line of a configuration file in which a key stands.
 *
 *     1  listen = "127.0.0.1:25300"
 *     2  [instance.shop]              findPlace(text, ['instance', 'shop'])            2:1
 *     3    socket = "/run/shop.sock"  findPlace(text, ['instance', 'shop', 'socket'])  3:3
 *
 * The parser does not say where it found a value. But it is the only one that knows TOML, so it is
 * asked about longer and longer beginnings of the text: the key stands where it appears first. Only
 * for mistakes and for `backup-agent config`; a start without a mistake asks for no place.
 */

import { parse } from 'smol-toml'

export interface Place {
  /** Both counted from 1. */
  readonly line: number
  readonly column: number
}

/** @returns undefined where the text has no such key, or is no TOML */
export const findPlace = (text: string, path: readonly string[]): Place | undefined => {
  const lines = text.split('\n')
  const has = (count: number): boolean | undefined => holds(lines.slice(0, count).join('\n'), path)
  if (has(lines.length) !== true) return undefined
  let absent = 0 // so many lines are TOML without the key
  let present = lines.length // so many are TOML with it
  let end = present // between here and `present` no beginning is TOML: one value goes over many lines
  while (absent + 1 < end) {
    const middle = Math.floor((absent + end) / 2)
    const count = range(middle, end).find((candidate) => has(candidate) !== undefined)
    if (count === undefined) end = middle
    else if (has(count)) present = end = count
    else absent = count
  }
  const line = lines[absent] ?? ''
  return { line: absent + 1, column: line.length - line.trimStart().length + 1 }
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, at) => from + at)

/** @returns undefined when the beginning of the text is none by itself */
const holds = (beginning: string, path: readonly string[]): boolean | undefined => {
  let found: unknown
  try {
    found = parse(beginning)
  } catch {
    return undefined
  }
  for (const key of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) return false
    found = (found as Record<string, unknown>)[key]
  }
  return true
}
