/** Runs the writing half of the room with settings a test need not care about. */

import type { TarSummary } from '../../lib/archive/index.ts'
import { type XbstreamToTarOptions, xbstreamToTar } from '../../lib/archive/xbstream-to-tar.ts'

export const MIB = 1024 * 1024

export const MARK = { product: 'kv-backup-agent/0.1.0', engine: 'mariadb-backup', engineVersion: '10.11.19' } as const

export interface Converted {
  readonly tar: Buffer
  readonly summary: TarSummary
  readonly members: readonly (readonly [path: string, sizeBytes: number])[]
}

export const options = (directory: string, changes: Partial<XbstreamToTarOptions> = {}): XbstreamToTarOptions => ({
  mark: MARK,
  memoryBytes: 8 * MIB,
  spool: { directory, maxBytes: 256 * MIB },
  sizeOf: () => undefined,
  mtimeMs: Date.UTC(2024, 1, 29, 12, 0, 0),
  beforeEnd: async () => {},
  ...changes,
})

/** Converts to the end and keeps everything. */
export const convert = async (
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
  directory: string,
  changes: Partial<XbstreamToTarOptions> = {},
): Promise<Converted> => {
  const pieces: Buffer[] = []
  const members: [string, number][] = []
  let summary: TarSummary | undefined
  const settings = options(directory, {
    onMember: (path, sizeBytes) => members.push([path, sizeBytes]),
    ...changes,
    beforeEnd: async (found) => {
      summary = found
      await changes.beforeEnd?.(found)
    },
  })
  for await (const piece of xbstreamToTar(toAsync(source), settings)) pieces.push(piece)
  if (summary === undefined) throw new Error('the archive got its end without anybody being asked')
  return { tar: Buffer.concat(pieces), summary, members }
}

export const toAsync = async function* <Item>(items: AsyncIterable<Item> | Iterable<Item>): AsyncGenerator<Item> {
  yield* items
}

/** Bytes that differ from place to place, so that a piece out of order shows. */
export const pattern = (sizeBytes: number, seed = 1): Buffer => {
  const words = new Uint32Array(Math.ceil(sizeBytes / 4))
  let state = Math.imul(seed, 2654435761)
  for (let at = 0; at < words.length; at += 1) {
    state = Math.imul(state, 1664525) + 1013904223
    words[at] = state
  }
  return Buffer.from(words.buffer, 0, sizeBytes)
}
