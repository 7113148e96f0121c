/**
 * Goes through a data directory once before anything is read: what is there, how big, and whether it can be copied.
 *
 * The order is always the same: what lies in subdirectories first, by name; then the
 * files at the top, with the ones a server cannot start without at the very end. So a
 * copy that stopped early never looks like a server's directory.
 *
 * Skipped, with a line in the log: sockets, FIFOs, `*.pid` and a `lost+found` at the top.
 * Refused: symbolic links (their target is outside, or copied twice), devices, names
 * that are not plain UTF-8, anything that cannot be looked at.
 */

import { isUtf8 } from 'node:buffer'
import type { BigIntStats } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'

import { checkSafePath, showPath } from '../archive/index.ts'
import { BackupError } from '../errors/index.ts'
import { unreadable } from './directory-root.ts'
import type { EngineLog } from './types.ts'

/** What makes a file the same file with the same bytes: nothing writes to it without changing one of these. */
export interface Identity {
  readonly device: bigint
  readonly inode: bigint
  readonly sizeBytes: bigint
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
}

export interface SurveyedItem {
  /** Relative to the directory. */
  readonly path: string
  readonly type: 'file' | 'directory'
  readonly identity: Identity
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

export interface Survey {
  /** In the order they are to be read. */
  readonly items: readonly SurveyedItem[]
  /** The directory itself, which is no item. */
  readonly root: Identity
  /** Sum of the sizes of the files. */
  readonly bytes: number
}

/** The last to be read, from left to right; `ibdata1` comes at the very end of its kind. */
const STARTABLE_WITH = [/^aria_log/, /^undo_?\d+/, /^ib_logfile/, /^mysql\.ibd$/, /^ibdata/]

/**
 * @param root absolute path of the directory, no symbolic link itself
 * @throws BackupError `ENGINE_DIRECTORY`; `ARCHIVE_PATH_UNSAFE` for a name no archive may carry
 */
export const surveyDirectory = async (root: string, signal: AbortSignal, log: EngineLog): Promise<Survey> => {
  const rootStats = await look(root)
  const items: SurveyedItem[] = []
  const topFiles: SurveyedItem[] = []
  for await (const item of walk(root, '', signal, log)) {
    if (item.type === 'file' && !item.path.includes('/')) topFiles.push(item)
    else items.push(item)
  }
  topFiles.sort(byReadingOrder)
  items.push(...topFiles)
  let bytes = 0
  let files = 0
  for (const { type, identity } of items) {
    if (type === 'directory') continue
    files += 1
    bytes += Number(identity.sizeBytes)
  }
  if (files === 0) {
    throw new BackupError(
      'ENGINE_DIRECTORY',
      `there is no file in ${root}`,
      { directory: root },
      {
        hint: 'is it the data directory, and is the snapshot mounted?',
      },
    )
  }
  return { items, root: identityOf(rootStats), bytes }
}

export const identityOf = (found: BigIntStats): Identity => ({
  device: found.dev,
  inode: found.ino,
  sizeBytes: found.size,
  mtimeNs: found.mtimeNs,
  ctimeNs: found.ctimeNs,
})

/** @returns what differs, in words, or `undefined` when it is the same */
export const difference = (before: Identity, now: Identity): string | undefined => {
  if (before.device !== now.device || before.inode !== now.inode) return 'it was replaced by another file'
  if (before.sizeBytes !== now.sizeBytes) return `it had ${before.sizeBytes} bytes and has ${now.sizeBytes}`
  if (before.mtimeNs !== now.mtimeNs) return 'it was written to'
  if (before.ctimeNs !== now.ctimeNs) return 'its owner, mode or name changed'
  return undefined
}

async function* walk(root: string, parent: string, signal: AbortSignal, log: EngineLog): AsyncGenerator<SurveyedItem> {
  const directory = parent === '' ? root : `${root}/${parent}`
  for (const rawName of (await list(directory)).sort(Buffer.compare)) {
    signal.throwIfAborted()
    if (!isUtf8(rawName)) {
      throw new BackupError(
        'ENGINE_DIRECTORY',
        `a name in ${directory} is not UTF-8: bytes ${rawName.toString('hex')}`,
        { directory },
        { hint: 'a database server does not make such names: move the file elsewhere' },
      )
    }
    const name = rawName.toString('utf8')
    const path = checkSafePath(parent === '' ? name : `${parent}/${name}`)
    const found = await look(`${root}/${path}`)
    const skipped = whySkipped(path, found)
    if (skipped !== undefined) {
      log.info({ path, why: skipped }, 'not part of the backup')
      continue
    }
    if (found.isDirectory()) {
      yield itemOf(path, 'directory', found)
      yield* walk(root, path, signal, log)
    } else if (found.isFile()) {
      yield itemOf(path, 'file', found)
    } else {
      throw refusal(root, path, found)
    }
  }
}

const whySkipped = (path: string, found: BigIntStats): string | undefined => {
  if (found.isSocket()) return 'a socket'
  if (found.isFIFO()) return 'a FIFO'
  if (found.isFile() && path.endsWith('.pid')) return 'the process id of a server'
  if (found.isDirectory() && path === 'lost+found') return 'it belongs to the file system'
  return undefined
}

const itemOf = (path: string, type: SurveyedItem['type'], found: BigIntStats): SurveyedItem => ({
  path,
  type,
  identity: identityOf(found),
  mode: Number(found.mode & 0o777n),
  uid: Number(found.uid),
  gid: Number(found.gid),
})

const refusal = (root: string, path: string, found: BigIntStats): BackupError => {
  const kind = found.isSymbolicLink() ? 'a symbolic link' : 'a device'
  const hint = found.isSymbolicLink()
    ? 'replace the link by what it points to, or use an engine that knows the server: --engine mariadb-backup'
    : 'a data directory holds files and directories only'
  const shown = showPath(path)
  return new BackupError(
    'ENGINE_DIRECTORY',
    `${shown} in ${root} is ${kind}: only files and directories are copied`,
    { path: shown },
    { hint },
  )
}

const byReadingOrder = (a: SurveyedItem, b: SurveyedItem): number =>
  rank(a.path) - rank(b.path) || backwards(a.path, b.path) || Buffer.compare(Buffer.from(a.path), Buffer.from(b.path))

const rank = (name: string): number => STARTABLE_WITH.findIndex((pattern) => pattern.test(name))

/** Of several `ibdata` files the first one is read last. */
const backwards = (a: string, b: string): number => {
  if (!a.startsWith('ibdata') || !b.startsWith('ibdata')) return 0
  return Buffer.compare(Buffer.from(b), Buffer.from(a))
}

const list = async (directory: string): Promise<Buffer[]> => {
  try {
    return await readdir(directory, { encoding: 'buffer' })
  } catch (error) {
    throw unreadable(directory, error)
  }
}

const look = async (path: string): Promise<BigIntStats> => {
  try {
    return await lstat(path, { bigint: true })
  } catch (error) {
    throw unreadable(path, error)
  }
}
