/**
 * Looks at every archive of a chain before any of them is unpacked.
 *
 *     receipts, where there are ─▶ a chain? ─▶ each archive read whole: proof, digest, receipt ─▶ a chain?
 *
 * The receipts come first because they cost nothing; what counts is what stands in the
 * archives themselves. Reads only.
 */

import { openArchiveFile } from './archive-file.ts'
import { type ChainLink, checkChain } from './backup-chain.ts'
import type { Receipt } from './receipt.ts'
import { findReceipt } from './receipt-file.ts'
import { type Verification, verifyBackup } from './verify.ts'

export interface ChainOptions {
  /** Where the receipt of the first is; the others have theirs beside them. */
  readonly receipt?: string | undefined
  /** Refuse links without an agent's verdict in their receipts. */
  readonly requireVerdict?: boolean | undefined
  /** Of each archive. */
  readonly maxBytes?: number | undefined
  readonly signal: AbortSignal
  onProgress(path: string, bytes: number, ofBytes: number): void
}

/**
 * @param paths the full backup, then its increments in their order
 * @returns what was found out about each
 * @throws BackupError `CLIENT_CHAIN`; as `verifyBackup`
 */
export const verifyChain = async (
  paths: readonly string[],
  options: ChainOptions,
): Promise<readonly Verification[]> => {
  const { receipt, requireVerdict, maxBytes, signal, onProgress } = options
  const named = (index: number): string | undefined => (index === 0 ? receipt : undefined)
  for (const path of paths) await openArchiveFile(path, signal) // a name that is wrong is told before hours of reading
  const receipts = await Promise.all(paths.map((path, index) => findReceipt(path, named(index))))
  const said = receipts.map((one, index) => (one === undefined ? undefined : linkOf(paths[index] as string, one, one)))
  if (said.every((link) => link !== undefined)) checkChain(said)

  const links: Verification[] = []
  for (const [index, path] of paths.entries()) {
    const verified = await verifyBackup(path, {
      receipt: named(index),
      requireVerdict,
      maxBytes,
      signal,
      onProgress: (bytes, ofBytes) => onProgress(path, bytes, ofBytes),
    })
    links.push(verified)
  }
  checkChain(links.map((link) => linkOf(link.path, link, link.receipt)))
  return links
}

type Known = Pick<ChainLink, 'engine' | 'lsn' | 'sha256'> & { readonly backupType?: string | undefined }

const linkOf = (path: string, known: Known, receipt: Receipt | undefined): ChainLink => ({
  path,
  engine: known.engine,
  backupType: known.backupType,
  lsn: known.lsn,
  sha256: known.sha256,
  server: receipt?.server,
  base: receipt?.base,
})
