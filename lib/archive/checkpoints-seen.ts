/**
 * Keeps the small file `*_checkpoints` while it passes on its way into an archive, and reads it.
 *
 * Of a file with that name at top level only, and no more of it than such a file can have.
 */

import { type Checkpoints, metadataRole, parseBackupType, parseCheckpoints } from './metadata.ts'

/** It has five lines. */
const MAX_BYTES = 64 * 1024

export class CheckpointsSeen {
  #pieces: Buffer[] = []
  #bytes = 0

  /** @param bytes of a file; only lent */
  take(path: string, bytes: Buffer): void {
    if (metadataRole(path) !== 'checkpoints') return
    this.#bytes += bytes.length
    if (this.#bytes > MAX_BYTES) this.#pieces = []
    else this.#pieces.push(Buffer.from(bytes))
  }

  /** Asked when the file is whole; undefined when there was none that can be read. */
  get found(): Checkpoints | undefined {
    if (this.#pieces.length === 0) return undefined
    const text = Buffer.concat(this.#pieces).toString('utf8')
    const backupType = parseBackupType(text)
    return { ...(backupType === undefined ? {} : { backupType }), lsn: parseCheckpoints(text) }
  }
}
