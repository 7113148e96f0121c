/**
 * Writes what the agent says before the stream: `READY`, and status blocks.
 *
 * A refusal must never fail because of its own text. So `msg` is made fit for the wire
 * whatever it holds: control characters escaped, cut to a length every client reads.
 *
 * Pure. When which of them is said: PROTOCOL.md, "Answers".
 */

import { type KvPairs, writeKvBlock } from './kv-block-writer.ts'
import { LIMITS } from './limits.ts'
import { cutToBytes, escapeControls } from './wire-text.ts'

/** The last three are for clients of 0.77: a session that has begun, and how a backup stands. */
export const ANSWER_STATUSES = ['SENDING', 'OK', 'FAILED', 'ACCEPTED', 'RUNNING', 'COMPLETE'] as const
export type AnswerStatus = (typeof ANSWER_STATUSES)[number]

/** The block after `READY`, or in place of it. */
export interface StatusBlock {
  readonly status: AnswerStatus
  /** For people. Line breaks are written as a backslash and an `n`. */
  readonly msg: string
  /** The name that relates the requests of one run. */
  readonly sid?: string
}

/** `READY` and LF. To be followed by a status block at once: deployed clients die on anything else. */
export const writeReady = (): Buffer => Buffer.from('READY\n')

/**
 * Writes a status block: `status`, `msg`, `sid` if there is one, then the others in their order.
 *
 * @param extra more pairs; control characters in their values are escaped like those of `msg`
 * @throws BackupError as `writeKvBlock`, for `sid` and `extra` only: `status` and `msg` always fit
 */
export const writeStatus = ({ status, msg, sid }: StatusBlock, extra: KvPairs = []): Buffer => {
  const pairs: [string, string][] = [
    ['status', status],
    ['msg', cutToBytes(escapeControls(msg), LIMITS.maxMessageBytes)],
  ]
  if (sid !== undefined) pairs.push(['sid', escapeControls(sid)])
  for (const [key, value] of extra) pairs.push([key, escapeControls(value)])
  return writeKvBlock(pairs)
}
