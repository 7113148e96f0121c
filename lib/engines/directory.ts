/**
 * The engine `directory`: the data directory of a stopped server, or a snapshot, file by file. No child, no login.
 *
 *     survey ─▶ no server on it? ─▶ read each file unchanged ─▶ still no server, nothing changed? ─▶ settled
 *
 * Everything is counted before the first byte, so that the archive can announce it. It
 * never reads a directory that a server runs on: such a copy would be worth nothing, and
 * nobody would know until it is needed.
 */

import { lstat } from 'node:fs/promises'

import { BackupError } from '../errors/index.ts'
import { resolveDirectory, unreadable } from './directory-root.ts'
import { difference, identityOf, type Survey, type SurveyedItem, surveyDirectory } from './directory-survey.ts'
import { runFiles } from './files-run.ts'
import { changed } from './read-unchanged.ts'
import { findLockedFile } from './running-server.ts'
import type { Engine, EngineOrder, FilesRun } from './types.ts'

/** Counts up when what this engine copies, or in which order, changes. */
const VERSION = '1'

/**
 * @param directory may be a symbolic link itself
 * @throws BackupError `ENGINE_DIRECTORY` when it is no directory or cannot be looked at
 */
export const directoryEngine = async (directory: string): Promise<Engine> => {
  await resolveDirectory(directory)
  return {
    identity: { name: 'directory', version: VERSION, program: undefined },
    needsLogin: false,
    start: (order) => startReading(directory, order),
  }
}

const startReading = async (directory: string, { incrementalLsn, signal, log }: EngineOrder): Promise<FilesRun> => {
  if (incrementalLsn !== undefined) throw new Error('bug: an incremental backup of a directory')
  signal.throwIfAborted()
  const root = await resolveDirectory(directory)
  const survey = await surveyDirectory(root, signal, log)
  await refuseRunningServer(root, survey)
  log.info({ directory: root, entries: survey.items.length, bytes: survey.bytes }, 'directory surveyed')

  return runFiles(
    { root, items: survey.items, bytes: survey.bytes, check: () => checkAll(root, survey, signal) },
    signal,
  )
}

/** A file that was read early may have changed since; a directory's own times tell of names that came and went. */
const checkAll = async (root: string, survey: Survey, signal: AbortSignal): Promise<void> => {
  for (const item of survey.items) {
    signal.throwIfAborted()
    await checkOne(root, item)
  }
  await checkOne(root, { path: '.', identity: survey.root })
  await refuseRunningServer(root, survey)
}

const checkOne = async (root: string, item: Pick<SurveyedItem, 'path' | 'identity'>): Promise<void> => {
  const path = `${root}/${item.path}`
  const found = await lstat(path, { bigint: true }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw changed(item, 'it was removed')
    throw unreadable(path, error)
  })
  const how = difference(item.identity, identityOf(found))
  if (how !== undefined) throw changed(item, how)
}

const refuseRunningServer = async (root: string, { items }: Survey): Promise<void> => {
  const files = items
    .filter(({ type }) => type === 'file')
    .map(({ path, identity: { device, inode } }) => ({ path, device, inode }))
  const locked = await findLockedFile(files).catch((error: unknown) => {
    throw unreadable('/proc/locks', error)
  })
  if (locked === undefined) return
  const { path, pid, processName = 'a process' } = locked
  throw new BackupError(
    'ENGINE_DIRECTORY',
    `a server runs on ${root}: ${processName} (pid ${pid}) holds a lock on ${path}`,
    { directory: root, path, pid },
    { hint: 'stop the server or give a snapshot; for a running server use --engine mariadb-backup' },
  )
}
