/**
 * Applies increments to a full backup that lies unpacked and is not prepared yet.
 *
 *     BASE prepared ─▶ first unpacked beside it, applied, removed ─▶ second … ─▶ BASE is as the last one shows it
 *
 * The chain was checked before. Each archive is still the one that was checked, and after
 * each step the base says itself where it stands: a step that was left out shows at once.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { type ArchiveFacts, extractTar, parseCheckpoints } from '../archive/index.ts'
import { type PrepareOrder, prepareBackup } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import type { DigestedFile } from './archive-file.ts'
import { IncrementDirectory } from './increment-directory.ts'

export interface ChainStep {
  readonly file: DigestedFile
  /** Digest and end of the archive, as it was checked. */
  readonly checked: Pick<ArchiveFacts, 'lsn'> & { readonly sha256: string }
}

/**
 * @param base how to prepare the full backup; `directory` is where it lies
 * @param target the directory that the restored backup will be
 * @throws BackupError `ENGINE_PREPARE`, `CLIENT_RECEIPT`, `CLIENT_TARGET`, `CLIENT_WRITE`, `ARCHIVE_*`
 */
export const applyIncrements = async (
  base: Omit<PrepareOrder, 'incrementDirectory' | 'isMoreToCome'>,
  steps: readonly ChainStep[],
  target: string,
): Promise<void> => {
  await prepareBackup({ ...base, isMoreToCome: steps.length > 0 })
  const increment = new IncrementDirectory(target)
  for (const [index, { file, checked }] of steps.entries()) {
    await increment.create()
    try {
      await extractTar(file.read(), increment.path, { signal: base.signal })
      checkUnchanged(file, checked.sha256)
      const isMoreToCome = index + 1 < steps.length
      await prepareBackup({ ...base, incrementDirectory: increment.path, isMoreToCome })
    } finally {
      await increment.remove()
    }
    await checkApplied(base.directory, file.path, checked.lsn.to)
  }
}

/** @throws BackupError `CLIENT_RECEIPT` when the file was read twice, and was not the same */
export const checkUnchanged = (file: DigestedFile, sha256: string): void => {
  if (file.sha256 === sha256) return
  throw new BackupError(
    'CLIENT_RECEIPT',
    `expected ${file.path} to have the digest ${sha256}, as when it was checked, found ${file.sha256}`,
    { path: file.path },
    { hint: 'somebody writes to the file, or the disk is failing: begin again with another copy' },
  )
}

const CHECKPOINT_FILES = ['xtrabackup_checkpoints', 'mariadb_backup_checkpoints'] as const

const checkApplied = async (directory: string, path: string, toLsn: string | undefined): Promise<void> => {
  const texts = await Promise.all(
    CHECKPOINT_FILES.map((name) => readFile(join(directory, name), 'utf8').catch(() => undefined)),
  )
  const { to } = parseCheckpoints(texts.find((text) => text !== undefined) ?? '')
  if (to !== undefined && to === toLsn) return
  throw new BackupError(
    'ENGINE_PREPARE',
    `expected the backup to stand at LSN ${toLsn ?? '?'} after ${path} was applied, found it at ${to ?? '?'}`,
    { path, toLsn: toLsn ?? null, foundLsn: to ?? null },
    { hint: 'apply it by hand with --prepare --incremental-dir to see what the program says' },
  )
}
