/**
 * Writes one KV block, and refuses to write one that a reader would refuse.
 *
 * What it checks is what `KvBlockParser` checks: count, lengths, keys, characters. So
 * a value can never become a second pair, whatever stands in it. A refusal names the
 * key, never the value.
 *
 * Pure. Format: PROTOCOL.md, "KV blocks".
 */

import { BackupError, type ErrorCode } from '../errors/index.ts'
import { LIMITS } from './limits.ts'
import { findIllegal, isWellFormed, showWire } from './wire-text.ts'

export type KvPairs = Iterable<readonly [key: string, value: string]>

const LF = Buffer.from('\n')

/**
 * Writes a block.
 *
 * Shape: `COUNT LF`, then `key=value LF` for every pair, then `LF`. An LF inside a value is written as a backslash
 * and an `n`, the custom for `msg`; where a value must arrive as it is, refuse it before (`writeRequest` does).
 *
 * @throws BackupError with the code a reader would give: `PROTOCOL_COUNT_TOO_LARGE`, `PROTOCOL_PAIR_INVALID`,
 *   `PROTOCOL_KEY_DUPLICATE`, `PROTOCOL_CONTROL_BYTE`, `PROTOCOL_ENCODING_INVALID`, `PROTOCOL_LINE_TOO_LONG`,
 *   `PROTOCOL_BLOCK_TOO_LARGE`
 */
export const writeKvBlock = (pairs: KvPairs): Buffer => {
  const seen = new Set<string>()
  const lines: Buffer[] = []
  for (const [key, value] of pairs) {
    if (seen.size === LIMITS.maxPairs) {
      throw refusal('PROTOCOL_COUNT_TOO_LARGE', `expected at most ${LIMITS.maxPairs} pairs, found one more`, key)
    }
    if (key === '' || key.includes('=')) {
      throw refusal('PROTOCOL_PAIR_INVALID', 'expected a key that is not empty and holds no "="', key)
    }
    if (seen.has(key)) throw refusal('PROTOCOL_KEY_DUPLICATE', 'expected every key once, found one again', key)
    seen.add(key)
    lines.push(writePair(key, value))
  }
  const block = Buffer.concat([Buffer.from(`${lines.length}\n`), ...lines, LF])
  if (block.length > LIMITS.maxBlockBytes) {
    throw new BackupError(
      'PROTOCOL_BLOCK_TOO_LARGE',
      `expected a block of at most ${LIMITS.maxBlockBytes} bytes, found ${block.length}`,
      { bytes: block.length },
    )
  }
  return block
}

const writePair = (key: string, value: string): Buffer => {
  const text = `${key}=${value.replaceAll('\n', '\\n')}`
  if (!isWellFormed(text)) {
    throw refusal('PROTOCOL_ENCODING_INVALID', 'expected text, found half of a surrogate pair', key)
  }
  const line = Buffer.from(text)
  const illegal = findIllegal(line)
  if (illegal !== undefined) throw refusal(illegal.code, `expected plain text, found ${illegal.found}`, key)
  if (line.length > LIMITS.maxLineBytes) {
    const message = `expected a line of at most ${LIMITS.maxLineBytes} bytes, found ${line.length}`
    throw refusal('PROTOCOL_LINE_TOO_LONG', message, key)
  }
  return Buffer.concat([line, LF])
}

const refusal = (code: ErrorCode, message: string, key: string): BackupError =>
  new BackupError(code, `${message}: key ${showWire(key)}`, { key: showWire(key) })
