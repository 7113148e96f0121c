/** Spills with a clock that stands, and a way to wait for what one announces. */

import { randomBytes } from 'node:crypto'

import { Spill, type SpillOptions, type SpillState } from '../../lib/flow/index.ts'

export const KIB = 1024
export const MIB = 1024 * KIB

export interface Watched {
  readonly spill: Spill
  /** Everything that was announced, in order. */
  readonly changes: readonly SpillState[]
  /** Resolves as soon as `holds`, now or after an announced change. */
  until(holds: (state: SpillState) => boolean): Promise<void>
}

export const watched = (options: Partial<SpillOptions> & { memoryBytes: number }): Watched => {
  const changes: SpillState[] = []
  let waiting: { holds: (state: SpillState) => boolean; resolve: () => void }[] = []
  const spill = new Spill({
    random: randomBytes,
    nowMs: () => 4711,
    ...options,
    onChange: (state) => {
      changes.push(state)
      for (const one of waiting.filter(({ holds }) => holds(state))) one.resolve()
      waiting = waiting.filter(({ holds }) => !holds(state))
    },
  })
  return {
    spill,
    changes,
    until: (holds) =>
      holds(spill.state) ? Promise.resolve() : new Promise<void>((resolve) => waiting.push({ holds, resolve })),
  }
}

const { imul } = Math // looked up once: inside Jest a global is slow to find

/** Bytes that differ from place to place, so that a piece out of order shows. */
export const pattern = (bytes: number): Buffer => {
  const words = new Uint32Array(Math.ceil(bytes / 4))
  let state = 1
  for (let at = 0; at < words.length; at += 1) {
    state = imul(state, 1664525) + 1013904223
    words[at] = state ^ (state >>> 16)
  }
  return Buffer.from(words.buffer, 0, bytes)
}

export const cutInto = (content: Buffer, pieceBytes: number): Buffer[] =>
  Array.from({ length: Math.ceil(content.length / pieceBytes) }, (_, n) =>
    content.subarray(n * pieceBytes, (n + 1) * pieceBytes),
  )

export const collect = async (bytes: AsyncIterable<Buffer>): Promise<Buffer> => {
  const pieces: Buffer[] = []
  for await (const piece of bytes) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** Pushes until the producer waits. @returns what found no room at once; the last of it waits in the spill */
export const fill = async (
  { spill, until }: Watched,
  pieces: Iterable<Buffer>,
): Promise<{ waiting: Promise<void> }> => {
  for (const piece of pieces) {
    const pushed = spill.push(piece)
    // A wait for the disk alone ends by itself.
    const isFull = await Promise.race([pushed.then(() => false), until(({ full }) => full).then(() => true)])
    if (isFull) return { waiting: pushed }
  }
  throw new Error('the spill took everything')
}
