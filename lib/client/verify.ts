/**
 * Says of a file whether it is a whole backup, and why not.
 *
 *     FILE ─┬▶ decompressed, if it is compressed
 *           ├▶ the archive's own end and metadata        always
 *           └▶ length and digest ─▶ FILE.receipt         where there is one
 *
 * Reads it once, writes nothing, asks nobody. What tar has no checksum for, a changed byte
 * inside a table, only the receipt can show.
 */

import { createHash } from 'node:crypto'

import type { ArchiveFacts } from '../archive/index.ts'
import { boundedRead, openArchiveFile } from './archive-file.ts'
import { proofOf } from './fetch-sink.ts'
import type { PackedFacts } from './packed-file.ts'
import type { BackupProof, Receipt } from './receipt.ts'
import { checkReceipt, checkSize, findReceipt, requireVerdict } from './receipt-file.ts'
import type { ArchiveFormat } from './request.ts'
import { withinSeconds } from './time-limit.ts'

export interface Verification extends ArchiveFacts {
  readonly path: string
  readonly format: ArchiveFormat
  /** Digest of the archive, hexadecimal. That of the file too, unless it is compressed. */
  readonly sha256: string
  /** Of a file that is compressed. */
  readonly packed: PackedFacts | undefined
  /** From the mark, or from what the backup program wrote about itself. */
  readonly engineVersion: string | undefined
  /** What the backup is known whole by: an agent's verdict in the receipt, or the archive alone. */
  readonly proof: BackupProof
  /** The receipt that agrees with the file; undefined when there is none. */
  readonly receipt: Receipt | undefined
}

export interface VerifyOptions {
  /** Where the receipt is; otherwise `FILE.receipt`, if it is there. */
  readonly receipt?: string | undefined
  /** Refuse a backup without an agent's verdict in its receipt. */
  readonly requireVerdict?: boolean | undefined
  /** Most bytes of the archive, whatever its compressed form grows into. Left out: see README, "Compressed". */
  readonly maxBytes?: number | undefined
  /** How long all of it may take. Left out: as long as it takes. */
  readonly maxSeconds?: number | undefined
  readonly signal?: AbortSignal
  /** Called as the file is read. */
  onProgress?(bytes: number, ofBytes: number): void
}

/**
 * @throws BackupError `ARCHIVE_*`, `COMPRESS_*` with the reason when the file is not a whole backup; `CLIENT_RECEIPT` when it is not what
 *   its receipt says, or the receipt is none; `CLIENT_NO_VERDICT`, `CLIENT_MAX_*`; `CLI_FILE` when it cannot be read
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
export const verifyBackup = (path: string, options: VerifyOptions = {}): Promise<Verification> =>
  withinSeconds(options.maxSeconds, options.signal, (signal) => verify(path, options, signal))

const verify = async (path: string, options: VerifyOptions, signal: AbortSignal): Promise<Verification> => {
  const file = await openArchiveFile(path, signal)
  const { format, sizeBytes } = file
  const receipt = await findReceipt(path, options.receipt)
  if (options.requireVerdict === true) requireVerdict(receipt, path)
  checkSize(receipt, file)
  const digest = createHash('sha256')
  const proof = proofOf(format)
  for await (const bytes of boundedRead(file, { knownBytes: receipt?.bytes, maxBytes: options.maxBytes })) {
    digest.update(bytes)
    proof.push(bytes)
    options.onProgress?.(file.bytesRead(), sizeBytes)
  }
  const facts = proof.finish()
  const sha256 = digest.digest('hex')
  const packed = file.packed()
  checkReceipt(receipt, { path, sha256, format, facts, packed })
  const engineVersion = facts.mark?.engineVersion ?? facts.engineVersion
  return { path, format, sha256, proof: receipt?.proof ?? 'archive', receipt, packed, ...facts, engineVersion }
}
