/**
 * Makes a data directory out of a backup: unpack, prove, prepare.
 *
 *     FILE ─▶ decompressed ─▶ DIR.part ─▶ is it what its receipt says? ─▶ mariadb-backup --prepare ─▶ DIR
 *
 *     FILE INC INC ─▶ do they follow each other? ─▶ the same, and each INC applied to it in turn
 *
 * DIR appears only when all of it has worked. The file is read once: it is held against its
 * receipt, where it has one, while it is unpacked. No running server is touched: putting
 * the directory to use is the operator's step, and `nextStep` says which.
 */

import { type ArchiveFacts, extractTar } from '../archive/index.ts'
import { findPreparer } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { type ArchiveFile, DigestedFile, openArchiveFile } from './archive-file.ts'
import { checkBase } from './backup-chain.ts'
import { verifyChain } from './chain-files.ts'
import { IncrementDirectory } from './increment-directory.ts'
import type { BackupProof, Receipt } from './receipt.ts'
import { checkReceipt, checkSize, findReceipt, requireVerdict } from './receipt-file.ts'
import { applyIncrements, checkUnchanged } from './restore-chain.ts'
import { StagingDirectory } from './staging-directory.ts'
import { withinSeconds } from './time-limit.ts'
import type { Verification } from './verify.ts'

export interface RestoreOptions {
  /** The tar file, compressed or not. */
  readonly file: string
  /** Increments upon it, in their order; each begins where the one before it ended. */
  readonly increments?: readonly string[] | undefined
  /** An empty directory, or one that does not exist. */
  readonly target: string
  /** The program that prepares, where it is not on the PATH. */
  readonly program?: string | undefined
  /** Where the receipt is; otherwise `FILE.receipt`, if it is there. */
  readonly receipt?: string | undefined
  /** Refuse a backup without an agent's verdict in its receipt. */
  readonly requireVerdict?: boolean | undefined
  /** Most bytes of each archive, whatever its compressed form grows into. Left out: see README, "Compressed". */
  readonly maxBytes?: number | undefined
  /** How long all of it may take, preparing included. Left out: as long as it takes. */
  readonly maxSeconds?: number | undefined
  readonly signal?: AbortSignal
  /** Called as the work goes on; `line` is what the preparing program says. */
  onProgress?(progress: {
    readonly stage: 'checking' | 'unpacking' | 'preparing'
    /** The archive that is being read, or was read last. */
    readonly file: string
    readonly bytes: number
    readonly ofBytes: number
    readonly line?: string
  }): void
}

export interface Restoration extends ArchiveFacts {
  readonly directory: string
  /** How many increments were applied. `coordinates` and `lsn` are those of the last one. */
  readonly increments: number
  /** What the backup is known whole by: an agent's verdict in the receipt, or the archive alone. */
  readonly proof: BackupProof
  /** What the operator does now, as commands. */
  readonly nextStep: string
}

/**
 * @throws BackupError `CLI_FILE`, `CLI_USAGE`, `CLIENT_RECEIPT`, `CLIENT_CHAIN`, `CLIENT_NO_VERDICT`, `CLIENT_MAX_*`, `CLIENT_TARGET`,
 *   `CLIENT_WRITE`, `ARCHIVE_*`, `ENGINE_NOT_FOUND`, `ENGINE_PREPARE`
 * @example
 *   import { restoreBackup } from 'kv-backup-agent'
 *
 *   const { directory, nextStep } = await restoreBackup({ file: 'backup.tar', target: 'restored' })
 *   console.log(`${directory} is prepared. ${nextStep}`)
 */
export const restoreBackup = (options: RestoreOptions): Promise<Restoration> =>
  withinSeconds(options.maxSeconds, options.signal, (signal) => restore(options, signal))

const restore = async (options: RestoreOptions, signal: AbortSignal): Promise<Restoration> => {
  const { target, increments = [] } = options
  const paths = [options.file, ...increments]
  const files = await Promise.all(paths.map((path) => openArchiveFile(path, signal)))
  const xbstream = files.find(({ format }) => format === 'xbstream')
  if (xbstream !== undefined) throw notUnpackedHere(xbstream, target)
  // A single archive is proven while it is unpacked; of a chain everything is known before anything is.
  const chain = increments.length === 0 ? undefined : await checkedChain(paths, options, signal)
  const receipt = chain === undefined ? await receiptOf(files[0] as ArchiveFile, options) : chain[0]?.receipt
  const staging = await StagingDirectory.create(target)
  try {
    if (increments.length > 0) await new IncrementDirectory(target).refuseExisting()
    const engine = chain?.[0]?.engine ?? receipt?.engine
    const program = await preparerOf(engine, staging.path, options.program)
    const restored = await restoreInto(staging.path, { files, chain, receipt }, { ...options, program }, signal)
    await staging.commit()
    return restored
  } catch (error) {
    await staging.discard()
    throw error
  }
}

const checkedChain = (
  paths: readonly string[],
  { receipt, requireVerdict, maxBytes, onProgress }: RestoreOptions,
  signal: AbortSignal,
): Promise<readonly Verification[]> =>
  verifyChain(paths, {
    receipt,
    requireVerdict,
    maxBytes,
    signal,
    onProgress: (file, bytes, ofBytes) => onProgress?.({ stage: 'checking', file, bytes, ofBytes }),
  })

/** What is known before anything is unpacked. */
interface Checked {
  /** The full backup, then its increments. */
  readonly files: readonly ArchiveFile[]
  /** Absent for a full backup alone. */
  readonly chain: readonly Verification[] | undefined
  /** Of the full backup. */
  readonly receipt: Receipt | undefined
}

const restoreInto = async (
  directory: string,
  { files, chain, receipt }: Checked,
  options: RestoreOptions,
  signal: AbortSignal,
): Promise<Restoration> => {
  const { target, program, maxBytes, onProgress } = options
  let told = { file: options.file, bytes: 0, ofBytes: 0 }
  const tell = (stage: 'unpacking' | 'preparing', line?: string): void =>
    onProgress?.({ stage, ...told, ...(line === undefined ? {} : { line }) })
  const steps = files.map((file, index) => {
    const knownBytes = chain?.[index]?.bytes ?? (index === 0 ? receipt?.bytes : undefined)
    return new DigestedFile(file, { knownBytes, maxBytes }, (bytes) => {
      told = { file: file.path, bytes, ofBytes: file.sizeBytes }
      tell('unpacking')
    })
  })
  const [base, ...others] = steps as [DigestedFile, ...DigestedFile[]]

  const facts = await extractTar(base.read(), directory, { signal })
  if (chain?.[0] !== undefined) checkUnchanged(base, chain[0].sha256)
  checkReceipt(receipt, { path: base.path, sha256: base.sha256, format: 'tar', facts, packed: base.packed })
  checkBase({ ...facts, path: base.path, backupType: facts.backupType, base: receipt?.base })
  const { engine } = facts
  if (engine === 'mariadb-backup' || engine === 'xtrabackup') {
    tell('preparing')
    const onLine = (line: string): void => tell('preparing', line)
    const increments = others.map((other, index) => ({ file: other, checked: chain?.[index + 1] as Verification }))
    await applyIncrements({ directory, engine, program, signal, onLine }, increments, target)
  }
  const last = chain?.at(-1) ?? facts
  return {
    ...facts,
    coordinates: last.coordinates,
    lsn: { ...last.lsn, ...(facts.lsn.from === undefined ? {} : { from: facts.lsn.from }) },
    directory: target,
    increments: others.length,
    proof: chain === undefined ? (receipt?.proof ?? 'archive') : weakestProof(chain),
    nextStep: nextStep(facts.engine, target),
  }
}

/** Looks for the program before hours of unpacking, where the engine is known by then. */
const preparerOf = async (
  engine: string | undefined,
  directory: string,
  program: string | undefined,
): Promise<string | undefined> => {
  if (engine !== 'mariadb-backup' && engine !== 'xtrabackup') return program
  return findPreparer({ engine, program, directory })
}

/** What can be told before the archive is read. */
const receiptOf = async (file: ArchiveFile, options: RestoreOptions): Promise<Receipt | undefined> => {
  const { path } = file
  const receipt = await findReceipt(path, options.receipt)
  if (options.requireVerdict === true) requireVerdict(receipt, path)
  checkSize(receipt, file)
  if (receipt !== undefined) checkBase({ ...receipt, path, backupType: receipt.backupType })
  return receipt
}

/** A chain is known by the least that is known of its links. */
const weakestProof = (chain: readonly Verification[]): BackupProof =>
  chain.every(({ proof }) => proof === 'agent-verdict') ? 'agent-verdict' : 'archive'

const notUnpackedHere = ({ path, packing }: ArchiveFile, target: string): BackupError => {
  const [first, file] = packing === undefined ? ['', ` < ${path}`] : [`${packing} -dc ${path} | `, '']
  return new BackupError(
    'CLI_USAGE',
    `${path} is an xbstream, and an xbstream is not unpacked here`,
    { path },
    {
      hint: `mkdir ${target} && ${first}mbstream -x -C ${target}${file}, then mariadb-backup --prepare --target-dir=${target}`,
    },
  )
}

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
