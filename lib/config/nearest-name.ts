/**
 * What a mistyped name was probably meant to be.
 *
 *     spool-dri ─▶ spool-dir        colour ─▶ nothing: a wild guess helps nobody
 */

import { closest, distance } from 'fastest-levenshtein'

/** One letter of three may be wrong, and two always. */
const mayDiffer = (letters: number): number => Math.max(2, Math.floor(letters / 3))

/** @returns undefined when none of them is near */
export const nearestName = (name: string, known: readonly string[]): string | undefined => {
  if (known.length === 0) return undefined
  const found = closest(name, known)
  const letters = name.length - commonPrefix(known).length // what all begin with is no likeness
  return distance(name, found) <= mayDiffer(letters) ? found : undefined
}

const commonPrefix = ([first = '', ...others]: readonly string[]): string => {
  let prefix = first
  while (others.some((other) => !other.startsWith(prefix))) prefix = prefix.slice(0, -1)
  return prefix
}

/** `; did you mean spool-dir?`, or nothing. */
export const didYouMean = (name: string, known: readonly string[]): string => {
  const found = nearestName(name, known)
  return found === undefined ? '' : `; did you mean ${found}?`
}
