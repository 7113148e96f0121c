/**
 * Says of a tar file whether it is a whole backup, and why not.
 *
 * Reads it once, writes nothing, asks nobody. The rules are those of the receiving
 * side, in the archive room's proof.
 */

import { createHash } from 'node:crypto'

import { type ArchiveFacts, ArchiveProof } from '../archive/index.ts'
import { openArchiveFile } from './archive-file.ts'

export interface Verification extends ArchiveFacts {
  readonly path: string
  /** Digest of the file, hexadecimal: compare it with the receipt's. */
  readonly sha256: string
}

export interface VerifyOptions {
  readonly signal?: AbortSignal
  /** Called as the file is read. */
  onProgress?(bytes: number, ofBytes: number): void
}

/**
 * @throws BackupError `ARCHIVE_*` with the reason when the file is not a whole backup, `CLI_FILE` when it cannot be read
 * @example
 *   import { BackupError, verifyBackup } from 'kv-backup-agent'
 *
 *   try {
 *     const { files, coordinates } = await verifyBackup('backup.tar')
 *     console.log(`whole: ${files} files, up to ${coordinates.binlogFile ?? 'no binary log'}`)
 *   } catch (error) {
 *     if (!(error instanceof BackupError)) throw error
 *     console.log(`no backup: ${error.message} [${error.code}]`)
 *   }
 */
export const verifyBackup = async (path: string, options: VerifyOptions = {}): Promise<Verification> => {
  const file = await openArchiveFile(path, options.signal)
  const sha256 = createHash('sha256')
  const proof = new ArchiveProof()
  let bytesRead = 0
  for await (const bytes of file.read()) {
    sha256.update(bytes)
    proof.push(bytes)
    bytesRead += bytes.length
    options.onProgress?.(bytesRead, file.sizeBytes)
  }
  const facts = proof.finish()
  return { path, sha256: sha256.digest('hex'), ...facts }
}
