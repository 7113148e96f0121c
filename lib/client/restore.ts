/**
 * Makes a data directory out of a backup: unpack, prove, prepare.
 *
 *     FILE ─▶ DIR.part ─▶ is it what its receipt says? ─▶ mariadb-backup --prepare ─▶ DIR
 *
 * DIR appears only when all of it has worked. The file is read once: it is held against its
 * receipt, where it has one, while it is unpacked. No running server is touched: putting
 * the directory to use is the operator's step, and `nextStep` says which.
 */

import { createHash } from 'node:crypto'

import { type ArchiveFacts, extractTar } from '../archive/index.ts'
import { prepareBackup } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { openArchiveFile } from './archive-file.ts'
import type { BackupProof } from './receipt.ts'
import { checkReceipt, checkSize, findReceipt, requireVerdict } from './receipt-file.ts'
import { StagingDirectory } from './staging-directory.ts'

export interface RestoreOptions {
  /** The tar file. */
  readonly file: string
  /** An empty directory, or one that does not exist. */
  readonly target: string
  /** The program that prepares, where it is not on the PATH. */
  readonly program?: string | undefined
  /** Where the receipt is; otherwise `FILE.receipt`, if it is there. */
  readonly receipt?: string | undefined
  /** Refuse a backup without an agent's verdict in its receipt. */
  readonly requireVerdict?: boolean | undefined
  readonly signal?: AbortSignal
  /** Called as the work goes on; `line` is what the preparing program says. */
  onProgress?(progress: {
    readonly stage: 'unpacking' | 'preparing'
    readonly bytes: number
    readonly ofBytes: number
    readonly line?: string
  }): void
}

export interface Restoration extends ArchiveFacts {
  readonly directory: string
  /** What the backup is known whole by: an agent's verdict in the receipt, or the archive alone. */
  readonly proof: BackupProof
  /** What the operator does now, as commands. */
  readonly nextStep: string
}

/**
 * @throws BackupError `CLI_FILE`, `CLI_USAGE`, `CLIENT_RECEIPT`, `CLIENT_NO_VERDICT`, `CLIENT_TARGET`, `CLIENT_WRITE`,
 *   `ARCHIVE_*`, `ENGINE_NOT_FOUND`, `ENGINE_PREPARE`
 * @example
 *   import { restoreBackup } from 'kv-backup-agent'
 *
 *   const { directory, nextStep } = await restoreBackup({ file: 'backup.tar', target: 'restored' })
 *   console.log(`${directory} is prepared. ${nextStep}`)
 */
export const restoreBackup = async (options: RestoreOptions): Promise<Restoration> => {
  const { target, program, onProgress } = options
  const signal = options.signal ?? new AbortController().signal
  const file = await openArchiveFile(options.file, signal)
  if (file.format === 'xbstream') throw notUnpackedHere(file.path, target)
  const receipt = await findReceipt(file.path, options.receipt)
  if (options.requireVerdict === true) requireVerdict(receipt, file.path)
  checkSize(receipt, file.path, file.sizeBytes)
  const staging = await StagingDirectory.create(target)
  try {
    let bytes = 0
    const digest = createHash('sha256')
    const tell = (stage: 'unpacking' | 'preparing', line?: string): void =>
      onProgress?.({ stage, bytes, ofBytes: file.sizeBytes, ...(line === undefined ? {} : { line }) })
    const counted = async function* (): AsyncGenerator<Buffer> {
      for await (const chunk of file.read()) {
        bytes += chunk.length
        digest.update(chunk)
        tell('unpacking')
        yield chunk
      }
    }
    const facts = await extractTar(counted(), staging.path, { signal })
    checkReceipt(receipt, { path: file.path, sha256: digest.digest('hex'), format: file.format, facts })
    if (facts.engine === 'mariadb-backup' || facts.engine === 'xtrabackup') {
      tell('preparing')
      await prepareBackup({
        directory: staging.path,
        engine: facts.engine,
        ...(program === undefined ? {} : { program }),
        signal,
        onLine: (line) => tell('preparing', line),
      })
    }
    await staging.commit()
    const proof = receipt?.proof ?? 'archive'
    return { ...facts, directory: target, proof, nextStep: nextStep(facts.engine, target) }
  } catch (error) {
    await staging.discard()
    throw error
  }
}

const notUnpackedHere = (path: string, target: string): BackupError =>
  new BackupError(
    'CLI_USAGE',
    `${path} is an xbstream, and an xbstream is not unpacked here`,
    { path },
    {
      hint: `mkdir ${target} && mbstream -x -C ${target} < ${path}, then mariadb-backup --prepare --target-dir=${target}`,
    },
  )

/** A plain directory is a data directory already; the others are moved in by the program that made them. */
const nextStep = (engine: string, directory: string): string => {
  if (engine === 'directory') return `chown -R mysql: ${directory}   # then start a server with --datadir=${directory}`
  if (engine === 'binary-logs') {
    return `mariadb-binlog --start-position=POSITION ${directory}/FILE ... | mariadb   # from the full backup's coordinates on`
  }
  const program = engine === 'xtrabackup' ? 'xtrabackup' : 'mariadb-backup'
  return [
    `stop the server, empty its data directory, then:`,
    `  ${program} --move-back --target-dir=${directory}`,
    `  chown -R mysql: /var/lib/mysql      # its data directory`,
    `or start a server on it as it is:`,
    `  chown -R mysql: ${directory} && mariadbd --user=mysql --datadir=${directory}`,
  ].join('\n')
}
