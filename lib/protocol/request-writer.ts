/**
 * Writes a request as a client sends it: the version line, then one block.
 *
 * A value arrives as it was given or not at all: a line break in a password is refused
 * here, where a block on its own would write it as two other characters.
 *
 * Pure. Format: PROTOCOL.md, "The request".
 */

import { BackupError } from '../errors/index.ts'
import { type KvPairs, writeKvBlock } from './kv-block-writer.ts'
import { parseVersion } from './version.ts'
import { showWire } from './wire-text.ts'

/**
 * @param version what the client speaks, `0.76.1`
 * @throws BackupError `PROTOCOL_VERSION_INVALID`, or what `writeKvBlock` throws
 */
export const writeRequest = (version: string, pairs: KvPairs): Buffer => {
  const list = [...pairs]
  for (const [key, value] of list) {
    if (value.includes('\n')) {
      throw new BackupError(
        'PROTOCOL_CONTROL_BYTE',
        `expected a value on one line, found a line break: key ${showWire(key)}`,
        { key: showWire(key) },
      )
    }
  }
  return Buffer.concat([Buffer.from(`${parseVersion(version).text}\n`), writeKvBlock(list)])
}
