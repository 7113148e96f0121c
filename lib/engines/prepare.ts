/**
 * Prepares a backup that lies unpacked in a directory: applies its redo log, or an increment, so that a server can
 * start on it.
 *
 * It changes the directory in place. The program gets the backup's own `backup-my.cnf`
 * and no other option file, so that nothing of this host decides how pages are read. That
 * file came with the backup, over a network: what could make the program load code or
 * read other files is refused first.
 *
 * Success is an exit with 0 and `completed OK!`, as for a backup.
 */

import { readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import { BackupError } from '../errors/index.ts'
import { startChild } from './child.ts'
import { cleanEnvironment, DEFAULT_SEARCH_PATH } from './clean-environment.ts'
import { findEngine } from './find-engine.ts'
import { namedProgram } from './find-program.ts'
import { MARIADB_WORDS } from './mariadb-words.ts'
import { redactor } from './redaction.ts'
import { StderrLines } from './stderr-lines.ts'
import { WordsReader } from './words-reader.ts'
import { XTRABACKUP_WORDS } from './xtrabackup-words.ts'

export interface PrepareOrder {
  /** The unpacked backup. */
  readonly directory: string
  readonly engine: 'mariadb-backup' | 'xtrabackup'
  /** An unpacked increment, to be applied to the backup in `directory`, which is prepared up to where it begins. */
  readonly incrementDirectory?: string | undefined
  /** More increments will follow. */
  readonly isMoreToCome?: boolean | undefined
  /** Its path or name; without it the program is looked for. */
  readonly program?: string | undefined
  readonly searchPath?: string | undefined
  readonly signal: AbortSignal
  /** Every line the program says, redacted. */
  onLine(line: string): void
}

/** Writes several hundred bytes; a cap against a file that is something else. */
const MAX_OPTION_FILE_BYTES = 64 * 1024

/**
 * What the programs write into it themselves. A list of what may stand there, not of what may not: options can be
 * abbreviated and prefixed (`loose-plugin-di=…`), and one that loads a plugin would run its code here.
 */
const EXPECTED_OPTION = /^(?:innodb|rocksdb|aria|server|redo|master_key)_[a-z0-9_]+$/

/**
 * Prepares the backup in `directory`.
 *
 * @throws BackupError `ENGINE_PREPARE` with the last lines of the program; `ENGINE_NOT_FOUND`, `ENGINE_UNUSABLE`;
 *   the signal's reason when it was told to stop
 */
export const prepareBackup = async (order: PrepareOrder): Promise<void> => {
  const { engine, signal, searchPath } = order
  const directory = resolve(order.directory)
  const optionFile = join(directory, 'backup-my.cnf')
  await checkOptionFile(optionFile)
  const increment = order.incrementDirectory === undefined ? undefined : resolve(order.incrementDirectory)
  if (increment !== undefined) await checkOptionFile(join(increment, 'backup-my.cnf'))
  const program = await findPreparer({ ...order, directory })

  const lines = new StderrLines()
  const words = new WordsReader(engine === 'xtrabackup' ? XTRABACKUP_WORDS : MARIADB_WORDS, redactor(undefined))
  const take = (line: string): void => order.onLine(words.take(line).shown)
  const child = await startChild({
    program,
    args: [
      `--defaults-file=${optionFile}`,
      '--prepare',
      ...(isLogOnly(order) ? ['--apply-log-only'] : []),
      `--target-dir=${directory}`,
      ...(increment === undefined ? [] : [`--incremental-dir=${increment}`]),
    ],
    environment: cleanEnvironment(searchPath ?? process.env['PATH'] ?? DEFAULT_SEARCH_PATH, process.env['TZ']),
    workingDirectory: directory,
    signal,
    onStderr: (chunk) => {
      for (const line of lines.push(chunk)) take(line)
    },
  })
  await readAway(child.stdout)
  const { exitCode, signal: endSignal } = await child.settled
  for (const line of lines.end()) take(line)

  const { saidOk, lastLines, signs } = words.seen()
  if (exitCode === 0 && saidOk) return
  signal.throwIfAborted()
  const how = endSignal === undefined ? `exited with ${exitCode}` : `was killed by ${endSignal}`
  const cause = signs.errors.at(-1) ?? lastLines.at(-1) ?? 'it said nothing'
  throw new BackupError(
    'ENGINE_PREPARE',
    `${engine} --prepare ${how}${saidOk ? '' : ' without "completed OK!"'}: ${cause}`,
    { exitCode: exitCode ?? null, signal: endSignal ?? null, directory, lastLines: lastLines.slice(-5) },
    { hint: `prepare needs ${engine} of the version that made the backup, or a later one of the same series` },
  )
}

/**
 * A backup of MySQL that increments are to be applied to must not roll back what was not committed yet: an increment may
 * go on with it. MariaDB's program always works that way since 10.2, and does not know the option.
 */
const isLogOnly = ({ engine, isMoreToCome = false }: PrepareOrder): boolean => engine === 'xtrabackup' && isMoreToCome

/** It says nothing there; if it did, it must not wait for us. */
const readAway = async (output: AsyncIterable<unknown>): Promise<void> => {
  try {
    for await (const _ of output);
  } catch {
    // destroyed, because the signal was aborted: that is told by how the program ended
  }
}

/**
 * The program that will prepare, as an absolute path: it works inside of the unpacked backup, where a relative one would
 * be a file that came with it.
 *
 * @param directory any directory; the program is asked for its version there
 * @throws BackupError `ENGINE_NOT_FOUND`, `ENGINE_UNUSABLE`
 */
export const findPreparer = async ({
  engine,
  program,
  searchPath,
  directory,
}: Pick<PrepareOrder, 'engine' | 'program' | 'searchPath' | 'directory'>): Promise<string> => {
  if (program !== undefined) return namedProgram(program, searchPath ?? process.env['PATH'] ?? DEFAULT_SEARCH_PATH)
  const { identity } = await findEngine({ engine, runtimeDirectory: directory, searchPath })
  if (identity.program === undefined) throw new Error(`bug: engine ${engine} without a program`)
  return identity.program
}

const checkOptionFile = async (path: string): Promise<void> => {
  const text = await readOptionFile(path)
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (isExpected(line.trim())) continue
    throw new BackupError(
      'ENGINE_PREPARE',
      `backup-my.cnf holds on line ${index + 1} what no backup of ours does: ${JSON.stringify(line.slice(0, 80))}`,
      { path, line: index + 1 },
      { hint: 'if you trust this backup (one with encrypted tables names a plugin there), run --prepare by hand' },
    )
  }
}

const isExpected = (line: string): boolean => {
  if (line === '' || line.startsWith('#') || line === '[mysqld]') return true
  const name = line.split('=')[0]?.trim().replaceAll('-', '_').toLowerCase() ?? ''
  return EXPECTED_OPTION.test(name)
}

const readOptionFile = async (path: string): Promise<string> => {
  try {
    const { size } = await stat(path)
    if (size > MAX_OPTION_FILE_BYTES) {
      throw new BackupError(
        'ENGINE_PREPARE',
        `backup-my.cnf has ${size} bytes, expected at most ${MAX_OPTION_FILE_BYTES}`,
      )
    }
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof BackupError) throw error
    throw new BackupError(
      'ENGINE_PREPARE',
      `backup-my.cnf cannot be read in the backup: ${(error as NodeJS.ErrnoException).code}`,
      { path },
      { cause: error, hint: 'prepare the directory the backup was unpacked into' },
    )
  }
}
