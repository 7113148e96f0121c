/**
 * Compares the names of two servers, as agents have told them. What only one side has says nothing. Pure.
 */

import type { ServerBlock } from '../protocol/index.ts'

type Names = ServerBlock | undefined

const KEYS = ['uuid', 'data'] as const

/** @returns what differs, for a message; undefined when nothing says that they are two */
export const serverDifference = (one: Names, other: Names): string | undefined => {
  for (const key of KEYS) {
    const [first, second] = [one?.[key], other?.[key]]
    if (first === undefined || second === undefined || first === second) continue
    return `${key === 'uuid' ? 'server' : 'data directory'} ${first} and ${second}`
  }
  return undefined
}

/** Whether a name that both have says that they are one. */
export const isSameServer = (one: Names, other: Names): boolean =>
  serverDifference(one, other) === undefined &&
  KEYS.some((key) => one?.[key] !== undefined && other?.[key] !== undefined)
