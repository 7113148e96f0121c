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

import { type Child, startChild } from './child.ts'
import { classifyFailure, type LockAttempt } from './classify-failure.ts'
import { cleanEnvironment, DEFAULT_SEARCH_PATH } from './clean-environment.ts'
import { dataDirectoryBytes } from './data-directory-size.ts'
import { dataIdentityOf } from './data-identity.ts'
import { descriptorSize, restingDescriptorSize } from './descriptor-size.ts'
import { LOCK_HELD_EXIT } from './host-guards.ts'
import { openOptionFile } from './option-file.ts'
import { redactor } from './redaction.ts'
import { redoLogSize } from './redo-log-size.ts'
import { findLockHolder, findServerLock } from './server-lock.ts'
import { StderrLines } from './stderr-lines.ts'
import type { Engine, EngineIdentity, EngineOrder, EngineOutcome, EngineSettings, XbstreamRun } from './types.ts'
import { type Vocabulary, WordsReader } from './words-reader.ts'

export interface BackupProgram {
  readonly identity: EngineIdentity & { readonly program: string }
  readonly vocabulary: Vocabulary
  /** Everything after `--defaults-file`. */
  readonly args: readonly string[]
  /** The name that the copied redo log has in the stream. */
  readonly redoLogName: string
}

export const programEngine = (program: BackupProgram, settings: EngineSettings): Engine => ({
  identity: program.identity,
  needsLogin: true,
  dataIdentity: (said) => dataIdentityOf({ ...settings, datadir: settings.datadir ?? said }),
  start: (order) => runBackupProgram(program, settings, order),
})

const runBackupProgram = async (
  { identity, vocabulary, redoLogName, ...program }: BackupProgram,
  settings: EngineSettings,
  { user, password, extraArgs = [], incrementalLsn, signal, log }: EngineOrder,
): Promise<XbstreamRun> => {
  signal.throwIfAborted()
  // Both families call it that. They believe any number: what may be asked is decided before.
  const args = [
    ...extraArgs,
    ...program.args,
    ...(incrementalLsn === undefined ? [] : [`--incremental-lsn=${incrementalLsn}`]),
  ]
  const lines = new StderrLines()
  const words = new WordsReader(vocabulary, redactor(password))
  // Words may come before the start has come back here.
  let pid: number | undefined
  let hasEnded = (): boolean => false
  let redoBytes: number | undefined
  let totalBytes: number | undefined
  let isMeasured = false

  const redoCapacityBytes = (): number | undefined => {
    // After its end the number may be another program's.
    if (redoBytes === undefined && pid !== undefined && !hasEnded()) redoBytes = redoLogSize(pid)
    return redoBytes
  }
  const estimateTotal = async (dataDirectory: string): Promise<void> => {
    if (isMeasured) return
    isMeasured = true
    totalBytes = await dataDirectoryBytes(dataDirectory, () => !hasEnded() && !signal.aborted)
    log.debug({ totalBytes }, 'data directory measured')
  }
  const take = (line: string): void => {
    const { shown, stage, dataDirectory } = words.take(line)
    log.debug({ line: shown }, 'engine said')
    if (dataDirectory !== undefined) void estimateTotal(dataDirectory)
    if (stage === undefined) return
    log.info({ stage, files: words.progress().files }, 'engine stage')
    redoCapacityBytes() // while it has it open: who wants to know may ask later
  }

  const include = settings.defaultsFile === undefined ? undefined : resolve(settings.defaultsFile)
  const lock = await findServerLock(settings)
  const optionFile = await openOptionFile(settings.runtimeDirectory, { user, password }, include)
  const child = await startChild({
    program: identity.program,
    // Must be the first argument: the programs look for it nowhere else.
    args: ['--defaults-file=/dev/fd/3', ...args],
    environment: cleanEnvironment(settings.searchPath ?? process.env['PATH'] ?? DEFAULT_SEARCH_PATH, process.env['TZ']),
    workingDirectory: settings.runtimeDirectory,
    largeReadsIn: settings.runtimeDirectory,
    descriptor3: optionFile.fd,
    lock,
    signal,
    onStart: (started) => {
      pid = started
      log.info({ program: identity.program, pid, args, lock }, 'engine started')
    },
    onStderr: (chunk) => {
      for (const line of lines.push(chunk)) take(line)
    },
  }).finally(() => optionFile.close())
  hasEnded = () => child.hasEnded()

  const settled = child.settled.then(async (end): Promise<EngineOutcome> => {
    for (const line of lines.end()) take(line)
    words.end()
    const seen = words.seen()
    const cancelled: unknown = signal.aborted ? signal.reason : undefined
    const attempt = lock === undefined ? undefined : await lookAtLock(lock, end.exitCode, child, lines.bytes)
    return {
      ...end,
      saidOk: seen.saidOk,
      failure: classifyFailure({
        name: identity.name,
        user,
        end,
        seen,
        cancelled,
        lock: attempt,
        redoCapacityBytes: redoBytes,
      }),
      coordinates: seen.coordinates,
      lsn: seen.lsn,
      lastLines: seen.lastLines,
      stderrBytes: lines.bytes,
    }
  })
  return {
    kind: 'xbstream',
    output: child.stdout,
    buffers: child.buffers,
    sizeOf: (path) => descriptorSize(child.pid, path),
    restingSizeOf: (path) => restingDescriptorSize(child.pid, path),
    redoCapacityBytes,
    redoLogName,
    totalBytes: () => totalBytes,
    pid: child.pid,
    progress: () => words.progress(),
    settled,
  }
}

/** A program that ends with the same status by itself has said or written something: `flock` does neither. */
const lookAtLock = async (
  path: string,
  exitCode: number | undefined,
  child: Child,
  stderrBytes: number,
): Promise<LockAttempt> => {
  const isHeld = exitCode === LOCK_HELD_EXIT && stderrBytes === 0 && child.outputBytes() === 0
  return { path, isHeld, holder: isHeld ? await findLockHolder(path) : undefined }
}
