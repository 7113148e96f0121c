/**
 * Runs a backup program that streams an xbstream: what mariadb-backup and xtrabackup have in common.
 *
 *     login ─▶ descriptor 3 ─▶ child ─┬─ stdout: xbstream, for whoever reads it
 *                                     └─ stderr: words ─▶ progress, facts, last lines ─▶ outcome
 *
 * Never reads stdout itself, never decides whether a backup is complete: it says how the
 * program ended, and why when it failed.
 */

import { resolve } from 'node:path'
import process from 'node:process'

import { startChild } from './child.ts'
import { classifyFailure } from './classify-failure.ts'
import { cleanEnvironment, DEFAULT_SEARCH_PATH } from './clean-environment.ts'
import { descriptorSize } from './descriptor-size.ts'
import { openOptionFile } from './option-file.ts'
import { redactor } from './redaction.ts'
import { StderrLines } from './stderr-lines.ts'
import type { Engine, EngineIdentity, EngineOrder, EngineOutcome, EngineSettings, XbstreamRun } from './types.ts'
import { type Vocabulary, WordsReader } from './words-reader.ts'

export interface BackupProgram {
  readonly identity: EngineIdentity & { readonly program: string }
  readonly vocabulary: Vocabulary
  /** Everything after `--defaults-file`. */
  readonly args: readonly string[]
}

export const programEngine = (program: BackupProgram, settings: EngineSettings): Engine => ({
  identity: program.identity,
  needsLogin: true,
  start: (order) => runBackupProgram(program, settings, order),
})

const runBackupProgram = async (
  { identity, vocabulary, args }: BackupProgram,
  settings: EngineSettings,
  { user, password, signal, log }: EngineOrder,
): Promise<XbstreamRun> => {
  const lines = new StderrLines()
  const words = new WordsReader(vocabulary, redactor(password))
  const take = (line: string): void => {
    const { shown, stage } = words.take(line)
    log.debug({ line: shown }, 'engine said')
    if (stage !== undefined) log.info({ stage, files: words.progress().files }, 'engine stage')
  }

  const include = settings.defaultsFile === undefined ? undefined : resolve(settings.defaultsFile)
  const optionFile = await openOptionFile(settings.runtimeDirectory, { user, password }, include)
  const child = await startChild({
    program: identity.program,
    // Must be the first argument: the programs look for it nowhere else.
    args: ['--defaults-file=/dev/fd/3', ...args],
    environment: cleanEnvironment(settings.searchPath ?? process.env['PATH'] ?? DEFAULT_SEARCH_PATH, process.env['TZ']),
    workingDirectory: settings.runtimeDirectory,
    descriptor3: optionFile.fd,
    signal,
    onStart: (pid) => log.info({ program: identity.program, pid, args }, 'engine started'),
    onStderr: (chunk) => {
      for (const line of lines.push(chunk)) take(line)
    },
  }).finally(() => optionFile.close())

  const settled = child.settled.then((end): EngineOutcome => {
    for (const line of lines.end()) take(line)
    const seen = words.seen()
    const cancelled: unknown = signal.aborted ? signal.reason : undefined
    return {
      ...end,
      saidOk: seen.saidOk,
      failure: classifyFailure({ name: identity.name, user, end, seen, cancelled }),
      coordinates: seen.coordinates,
      lsn: seen.lsn,
      lastLines: seen.lastLines,
      stderrBytes: lines.bytes,
    }
  })
  return {
    kind: 'xbstream',
    output: child.stdout,
    sizeOf: (path) => descriptorSize(child.pid, path),
    pid: child.pid,
    progress: () => words.progress(),
    settled,
  }
}
