/**
 * May we read everything that a backup copies, and how much is it?
 *
 * The backup program reads the server's files itself: it needs the rights, whatever the
 * database user may do. Opens each file once, as it would, and reads nothing.
 */

import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

import { isCopiedFile } from '../engines/index.ts'
import { type Finding, fail, inBytes, ok, warn } from './finding.ts'

export interface Survey {
  readonly directory: string
  /** Redo log excluded. */
  readonly bytes: number
  readonly largest: { readonly path: string; readonly bytes: number }
  /** Files that the backup program holds open. */
  readonly tables: number
  /** `undefined` where the server keeps its redo log elsewhere. */
  readonly redoBytes: number | undefined
  readonly newestMs: number
  /** Paths that we may not read, at most a few; and how many there are. */
  readonly unreadable: readonly string[]
  readonly unreadableCount: number
}

const SHOWN = 3
const REDO = /^ib_logfile\d+$/
/** MySQL 8.0.30 and later. */
const REDO_DIRECTORY = '#innodb_redo'

/** Never rejects: what cannot be read is in the result. */
export const surveyDataDirectory = async (directory: string): Promise<Survey> => {
  const unreadable: string[] = []
  let [bytes, tables, redoBytes, newestMs] = [0, 0, 0, 0]
  let largest = { path: '', bytes: 0 }
  const refuse = (path: string, error: NodeJS.ErrnoException): void => {
    if (error.code !== 'ENOENT') unreadable.push(path) // dropped since it was listed
  }
  const look = async (path: string, name: string): Promise<void> => {
    try {
      const found = await stat(path)
      await (await open(path, 'r')).close()
      newestMs = Math.max(newestMs, found.mtimeMs)
      if (REDO.test(name)) redoBytes += found.size
      else bytes += found.size
      if (/\.(ibd|ibu)$|^(ibdata|undo)/.test(name)) tables += 1
      if (found.size > largest.bytes && !REDO.test(name)) largest = { path, bytes: found.size }
    } catch (error) {
      refuse(path, error as NodeJS.ErrnoException)
    }
  }
  const list = async (path: string): Promise<string[]> =>
    readdir(path).catch((error: NodeJS.ErrnoException) => {
      refuse(path, error)
      return []
    })

  for (const name of await list(directory)) {
    const path = join(directory, name)
    if (REDO.test(name)) await look(path, name)
    if (name === REDO_DIRECTORY) {
      for (const part of await list(path)) redoBytes += (await stat(join(path, part)).catch(() => undefined))?.size ?? 0
    }
    if (name.startsWith('#')) continue
    if (await isDirectory(path)) {
      for (const table of await list(path)) {
        if (isCopiedFile(table, 'in a database')) await look(join(path, table), table)
      }
    } else if (isCopiedFile(name, 'at the top')) await look(path, name)
  }
  return {
    directory,
    bytes,
    largest,
    tables,
    redoBytes: redoBytes === 0 ? undefined : redoBytes,
    newestMs,
    unreadable: unreadable.slice(0, SHOWN),
    unreadableCount: unreadable.length,
  }
}

const isDirectory = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => undefined))?.isDirectory() ?? false

export const checkDataDirectory = (survey: Survey): Finding => {
  const { directory, bytes, largest, tables, unreadable, unreadableCount } = survey
  const facts = { directory, bytes, largestBytes: largest.bytes, tables, unreadable: unreadableCount }
  if (unreadableCount > 0) {
    return fail(
      'data directory',
      `${unreadableCount} files or directories cannot be read, such as ${unreadable.join(', ')}`,
      "run the agent as the server's own user, mysql",
      facts,
    )
  }
  if (bytes === 0) {
    return warn('data directory', `there is nothing to copy in ${directory}`, 'is it the right one? --datadir', facts)
  }
  return ok('data directory', `${directory}, ${inBytes(bytes)}, the largest file ${inBytes(largest.bytes)}`, facts)
}
