/**
 * How many raw bytes go into one block, and the limits of that number.
 *
 * The client chooses it with the wire key `agent-stream-block-size`. Rule: PROTOCOL.md, "Stream encodings".
 */

import { BackupError } from '../errors/index.ts'

/** What deployed clients assume when nobody says a block size. */
export const DEFAULT_BLOCK_BYTES = 10_240

/** One base64 line. A deployed client reads whole lines of 57 raw bytes, so with less it would read nothing at all. */
export const MIN_BLOCK_BYTES = 57

/** Bounds what both sides keep in memory for one frame. */
export const MAX_BLOCK_BYTES = 1_048_576

/**
 * @param blockBytes raw bytes in one block
 * @returns the same number
 * @throws BackupError `ENCODING_BLOCK_SIZE` unless it is a whole number from `MIN_BLOCK_BYTES` to `MAX_BLOCK_BYTES`
 */
export const checkBlockBytes = (blockBytes: number): number => {
  if (Number.isInteger(blockBytes) && blockBytes >= MIN_BLOCK_BYTES && blockBytes <= MAX_BLOCK_BYTES) return blockBytes
  throw new BackupError(
    'ENCODING_BLOCK_SIZE',
    `expected a block size of ${MIN_BLOCK_BYTES} to ${MAX_BLOCK_BYTES} whole bytes, found ${blockBytes}`,
    { found: String(blockBytes), minBlockBytes: MIN_BLOCK_BYTES, maxBlockBytes: MAX_BLOCK_BYTES },
    { hint: `leave agent-stream-block-size out: the default is ${DEFAULT_BLOCK_BYTES}` },
  )
}
