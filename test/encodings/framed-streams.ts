/**
 * Reads framed streams in a form that can be compared: what came out, and what an operator would see of a refusal.
 */

import { type FrameEvent, FrameReader } from '../../lib/encodings/index.ts'
import { BackupError } from '../../lib/errors/index.ts'

/** A frame as text: `data` with all bytes that came without a block between, since where they are cut is chance. */
export type SeenFrame = readonly ['data' | 'progress' | 'end', string]

export interface FramedOutcome {
  readonly seen: readonly SeenFrame[]
  readonly refusal?: { readonly code: string; readonly message: string; readonly facts: object }
}

/** A bug stays a bug: only what an operator may see is an outcome. */
export const framedOutcome = (chunks: readonly Buffer[]): FramedOutcome => {
  const reader = new FrameReader()
  const seen: SeenFrame[] = []
  try {
    for (const chunk of chunks) for (const event of reader.push(chunk)) note(seen, event)
    reader.end()
    return { seen }
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    const { code, message, facts } = error
    return { seen, refusal: { code, message, facts } }
  }
}

const note = (seen: SeenFrame[], event: FrameEvent): void => {
  const last = seen.at(-1)
  if (event.type !== 'data') seen.push([event.type, event.block.toString('latin1')])
  else if (last?.[0] !== 'data') seen.push(['data', event.bytes.toString('latin1')])
  else seen[seen.length - 1] = ['data', last[1] + event.bytes.toString('latin1')]
}
