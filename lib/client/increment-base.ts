/**
 * The backup that an increment is fetched upon, and whether what came is that increment.
 *
 *     RECEIPT, or ARCHIVE with a receipt   where it ended, which session it was, which server
 *     ARCHIVE without one                  where it ended, as it says itself
 *
 * A base that an agent has delivered is named by its session too, so that the agent checks it;
 * of any other the agent could only say that it knows nothing. Asks nobody, writes nothing.
 */

import type { ArchiveFacts } from '../archive/index.ts'
import { BackupError } from '../errors/index.ts'
import type { CompleteBlock } from '../protocol/index.ts'
import { openArchiveFile } from './archive-file.ts'
import type { Receipt } from './receipt.ts'
import { checkSize, findReceipt, isReceiptFile } from './receipt-file.ts'
import { serverDifference } from './server-names.ts'
import { verifyBackup } from './verify.ts'

export interface IncrementBase {
  /** Where it ended. */
  readonly lsn: string
  /** Only of a base that the agent may be asked about. */
  readonly sid?: string | undefined
  readonly sha256?: string | undefined
  readonly server?: Receipt['server']
}

/**
 * @param path an archive or a receipt
 * @throws BackupError `CLIENT_CHAIN` when nothing can be built upon it; `CLI_FILE`, `CLIENT_RECEIPT`, `ARCHIVE_*`
 */
export const readIncrementBase = async (path: string, signal: AbortSignal): Promise<IncrementBase> => {
  const isReceipt = await isReceiptFile(path)
  const receipt = await findReceipt(path, isReceipt ? path : undefined)
  if (receipt === undefined) {
    // Nobody has said anything about it: it must be whole by itself at least.
    const { lsn, sha256, engine } = await verifyBackup(path, { signal })
    return { lsn: endOf(path, engine, lsn), sha256 }
  }
  if (!isReceipt) checkSize(receipt, await openArchiveFile(path, signal))
  const { engine, lsn, sid, sha256, server, proof } = receipt
  return { lsn: endOf(path, engine, lsn), sha256, server, ...(proof === 'agent-verdict' ? { sid } : {}) }
}

const endOf = (path: string, engine: string, { to }: ArchiveFacts['lsn']): string => {
  if (to !== undefined) return to
  throw new BackupError(
    'CLIENT_CHAIN',
    `expected ${path} to say at which LSN it ends, found that it does not (a backup by ${engine})`,
    { path, engine },
    { hint: 'only a backup by mariadb-backup or xtrabackup can be the base of an increment: take a full one' },
  )
}

/**
 * Whether what has come is what was asked for.
 *
 * @param base undefined when a full backup was
 * @throws BackupError `CLIENT_MISMATCH`
 */
export const checkIncrement = (
  base: IncrementBase | undefined,
  { backupType, lsn }: ArchiveFacts,
  verdict: CompleteBlock | undefined,
): void => {
  if (base === undefined) {
    if (backupType === 'incremental') throw mismatch('a full backup', `an increment since LSN ${lsn.from ?? '?'}`)
    return
  }
  if (backupType !== 'incremental' || lsn.from !== base.lsn) {
    const found = backupType === 'incremental' ? `one since LSN ${lsn.from ?? '?'}` : `a backup "${backupType ?? '?'}"`
    throw mismatch(`an increment since LSN ${base.lsn}`, found)
  }
  if (verdict === undefined) return
  const { increment, server } = verdict
  if (increment?.fromLsn !== lsn.from || increment?.toLsn !== lsn.to) {
    const said = increment === undefined ? 'a full one' : `${increment.fromLsn} to ${increment.toLsn}`
    throw mismatch(
      `an increment from LSN ${lsn.from} to ${lsn.to ?? '?'}, as it says itself`,
      `the agent calls it ${said}`,
    )
  }
  const { baseSha256 } = increment
  if (baseSha256 !== undefined && base.sha256 !== undefined && baseSha256 !== base.sha256) {
    throw mismatch(`an increment upon the archive ${base.sha256}`, `one upon ${baseSha256}`)
  }
  const difference = serverDifference(base.server, server)
  if (difference !== undefined) throw mismatch('an increment of the server of its base', `another: ${difference}`)
}

const mismatch = (expected: string, found: string): BackupError =>
  new BackupError(
    'CLIENT_MISMATCH',
    `expected ${expected}, found ${found}`,
    {},
    { hint: 'take a full backup, and build upon that' },
  )
