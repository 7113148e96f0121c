/**
 * The engine `binary-logs`: closed binary logs of a running server, as they are on the disk. No child, no login.
 *
 *     names and sizes, from the server ─▶ open each: as big as it said? ─▶ read each unchanged ─▶ none changed? ─▶ settled
 *
 * A closed binary log is never written to again, so a copy of it is exact however long it
 * takes. One that was removed before it was read, or that is written to after all, ends the
 * backup. One that was removed when it had been read is no loss, and is only logged.
 */

import { constants } from 'node:fs'
import { lstat, open, realpath } from 'node:fs/promises'

import { checkSafePath } from '../archive/index.ts'
import { BackupError } from '../errors/index.ts'
import { difference, identityOf, type SurveyedItem } from './directory-survey.ts'
import { type FilesPlan, runFiles } from './files-run.ts'
import type { Engine, EngineOrder, FilesRun } from './types.ts'

/** Counts up when what this engine copies, or in which order, changes. */
const VERSION = '1'

/** Which files, by the server's own list. */
export interface BinaryLogFiles {
  readonly directory: string
  /** In the order of writing, at least one; all of them closed. */
  readonly logs: readonly { readonly name: string; readonly sizeBytes: number }[]
}

/** `NAME.NNNNNN`: what a server makes of its option log_bin. */
const FILE_NAME = /^[^/\\\s]+\.[0-9]{6,}$/

/** @throws BackupError `SERVER_BINLOG_UNREADABLE` from `start`, when a file is not what the server says of it */
export const binaryLogsEngine = (files: BinaryLogFiles): Engine => ({
  identity: { name: 'binary-logs', version: VERSION, program: undefined },
  needsLogin: false,
  start: (order) => startReading(files, order),
})

const startReading = async ({ directory, logs }: BinaryLogFiles, order: EngineOrder): Promise<FilesRun> => {
  const { signal, log } = order
  const root = await realpath(directory).catch((error: NodeJS.ErrnoException) => {
    throw unreadable(directory, error.code ?? String(error), error)
  })
  const items: SurveyedItem[] = []
  for (const { name, sizeBytes } of logs) {
    signal.throwIfAborted()
    items.push(await lookAt(root, name, sizeBytes))
  }
  const bytes = items.reduce((sum, { identity }) => sum + Number(identity.sizeBytes), 0)
  const [first, last] = [items[0]?.path, items.at(-1)]
  log.info({ directory: root, from: first, to: last?.path, logs: items.length, bytes }, 'binary logs found')
  const coordinates =
    last === undefined ? {} : { binlogFile: last.path, binlogPosition: Number(last.identity.sizeBytes) }
  return runFiles({ root, items, bytes, check: () => checkAll(root, items, order), explain, coordinates }, signal)
}

/** The size is fixed here: what is read later has it, or there is no backup. */
const lookAt = async (root: string, name: string, sizeBytes: number): Promise<SurveyedItem> => {
  const path = `${root}/${name}`
  if (!FILE_NAME.test(name)) throw unreadable(path, 'it has no name of a binary log')
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
  const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch((error: NodeJS.ErrnoException) => {
    throw unreadable(path, error.code ?? String(error), error)
  })
  try {
    const found = await file.stat({ bigint: true })
    if (!found.isFile()) throw unreadable(path, 'it is not a file')
    if (found.size !== BigInt(sizeBytes)) {
      throw unreadable(path, `the server says that it has ${sizeBytes} bytes, found ${found.size}`)
    }
    return {
      path: checkSafePath(name),
      type: 'file',
      identity: identityOf(found),
      mode: Number(found.mode & 0o777n),
      uid: Number(found.uid),
      gid: Number(found.gid),
    }
  } finally {
    await file.close()
  }
}

const checkAll = async (root: string, items: readonly SurveyedItem[], { signal, log }: EngineOrder): Promise<void> => {
  for (const item of items) {
    signal.throwIfAborted()
    const found = await lstat(`${root}/${item.path}`, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw unreadable(`${root}/${item.path}`, error.code ?? String(error), error)
    })
    if (found === undefined) {
      log.info({ path: item.path }, 'a binary log was removed after it had been read')
      continue
    }
    const how = difference(item.identity, identityOf(found))
    if (how !== undefined) throw changed(item, how)
  }
}

/** The words of a directory are not those of a server that runs. */
const explain: NonNullable<FilesPlan['explain']> = (error, item) => {
  if (!(error instanceof BackupError)) return error
  if (error.facts['errno'] === 'ENOENT') return changed(item, 'it was removed before it was sent', error)
  if (error.code === 'ARCHIVE_MEMBER_CHANGED') return changed(item, error.message.replace(/^.*read: /, ''), error)
  return error
}

const changed = ({ path }: SurveyedItem, how: string, cause?: unknown): BackupError =>
  new BackupError(
    'SERVER_BINLOG_CHANGED',
    `the binary log ${path} is not what it was: ${how}`,
    { path },
    { cause, hint: 'keep binary logs until they are backed up: see expire_logs_days and PURGE BINARY LOGS' },
  )

const unreadable = (path: string, problem: string, cause?: unknown): BackupError =>
  new BackupError(
    'SERVER_BINLOG_UNREADABLE',
    `the binary log ${path} cannot be read: ${problem}`,
    { path },
    {
      cause,
      hint: 'the agent must run as a user that may read them, usually mysql, and see the directory of the server',
    },
  )
