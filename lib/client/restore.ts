/**
 * Makes a data directory out of a backup: unpack, prove, prepare.
 *
 *     FILE ─▶ DIR.part ─▶ mariadb-backup --prepare ─▶ DIR
 *
 * DIR appears only when all of it has worked. No running server is touched: putting
 * the directory to use is the operator's step, and `nextStep` says which.
 */

import { type ArchiveFacts, extractTar } from '../archive/index.ts'
import { prepareBackup } from '../engines/index.ts'
import { openArchiveFile } from './archive-file.ts'
import { StagingDirectory } from './staging-directory.ts'

export interface RestoreOptions {
  /** The tar file. */
  readonly file: string
  /** An empty directory, or one that does not exist. */
  readonly target: string
  /** The program that prepares, where it is not on the PATH. */
  readonly program?: string | undefined
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
  /** What the operator does now, as commands. */
  readonly nextStep: string
}

/**
 * @throws BackupError `CLI_FILE`, `CLIENT_TARGET`, `CLIENT_WRITE`, `ARCHIVE_*`, `ENGINE_NOT_FOUND`, `ENGINE_PREPARE`
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
  const staging = await StagingDirectory.create(target)
  try {
    let bytes = 0
    const tell = (stage: 'unpacking' | 'preparing', line?: string): void =>
      onProgress?.({ stage, bytes, ofBytes: file.sizeBytes, ...(line === undefined ? {} : { line }) })
    const counted = async function* (): AsyncGenerator<Buffer> {
      for await (const chunk of file.read()) {
        bytes += chunk.length
        tell('unpacking')
        yield chunk
      }
    }
    const facts = await extractTar(counted(), staging.path, { signal })
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
    return { ...facts, directory: target, nextStep: nextStep(facts.engine, target) }
  } catch (error) {
    await staging.discard()
    throw error
  }
}

/** A plain directory is a data directory already; the others are moved in by the program that made them. */
const nextStep = (engine: string, directory: string): string => {
  if (engine === 'directory') return `chown -R mysql: ${directory}   # then start a server with --datadir=${directory}`
  const program = engine === 'xtrabackup' ? 'xtrabackup' : 'mariadb-backup'
  return [
    `stop the server, empty its data directory, then:`,
    `  ${program} --move-back --target-dir=${directory}`,
    `  chown -R mysql: /var/lib/mysql      # its data directory`,
    `or start a server on it as it is:`,
    `  chown -R mysql: ${directory} && mariadbd --user=mysql --datadir=${directory}`,
  ].join('\n')
}
