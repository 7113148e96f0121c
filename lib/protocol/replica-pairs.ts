/**
 * The columns of a replica's status as pairs of an answer.
 *
 *     Master_Host=10.0.0.5\n          of the first connection, by the server's own names
 *     Exec_Master_Log_Pos=4711\n
 *     eu:Master_Host=10.0.1.5\n       of every further one, with its name and a colon in front
 *
 * A block has its limits: a column that does not fit a line is left out, and so is a whole
 * further connection that does not fit the block. Pure. Rules: PROTOCOL.md, "Answers".
 */

import { LIMITS } from './limits.ts'
import { escapeControls } from './wire-text.ts'

export interface ReplicaColumns {
  readonly name: string
  readonly columns: ReadonlyMap<string, string>
}

/** Room that the rest of the answer needs. */
const OTHER_PAIRS = 16
const OTHER_BYTES = 8 * 1024

export const replicaPairs = (connections: readonly ReplicaColumns[]): [string, string][] => {
  const pairs: [string, string][] = []
  let bytes = 0
  for (const [at, { name, columns }] of connections.entries()) {
    const prefix = at === 0 ? '' : `${name}:`
    const own = [...columns].flatMap(([column, value]): [string, string][] => {
      const pair: [string, string] = [`${prefix}${column}`, escapeControls(value)]
      return isFitting(pair) ? [pair] : []
    })
    const ownBytes = own.reduce((sum, pair) => sum + lineBytes(pair), 0)
    const isFull =
      pairs.length + own.length > LIMITS.maxPairs - OTHER_PAIRS || bytes + ownBytes > LIMITS.maxBlockBytes - OTHER_BYTES
    if (isFull) continue
    pairs.push(...own)
    bytes += ownBytes
  }
  return pairs
}

/** The keys of the answer itself are not for columns. */
const RESERVED: ReadonlySet<string> = new Set(['', 'status', 'msg', 'sid', 'code'])

const isFitting = (pair: [string, string]): boolean =>
  !RESERVED.has(pair[0]) && !/[=\u0000-\u001f]/.test(pair[0]) && lineBytes(pair) <= LIMITS.maxLineBytes

const lineBytes = ([key, value]: [string, string]): number => Buffer.byteLength(`${key}=${value}`) + 1
