/**
 * Estimates how many bytes a backup program will copy, by the sizes of the files that it copies.
 *
 *     DIR/ibdata1  DIR/undo001  DIR/aria_log.00000001     at the top, by name
 *     DIR/db/t.ibd  DIR/db/t.frm  DIR/db/db.opt  …        there and one level below, by ending
 *
 * Not the redo log, whose copy is as long as the backup takes; not binary logs and
 * temporary tables, which are not copied. Tables grow and go while the backup runs: it is
 * an estimate, for a progress in percent and for nothing that must be right.
 *
 * Looks only, one file at a time. Source of the endings: MariaDB's backup_copy.cc, and what
 * 10.11.19 streamed; the depth is the servers' own, which keep a database in one directory.
 */

import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'

const COPIED_BY_NAME = /^(?:ibdata|undo|aria_log)/
const COPIED_BY_ENDING = /\.(?:ibd|MYD|MYI|MAD|MAI|MRG|frm|par|CSV|CSM|ARZ|ARM|opt|TRG|TRN|isl|sdi|ibu)$/

/** Temporary tables, and the server's own directories: a `#` in the name of a database is written `@0023`. */
const INTERNAL = /^#/

/** It holds the path of a tablespace that lies elsewhere (`DATA DIRECTORY=…`). */
const LINK = '.isl'
const MAX_LINK_BYTES = 4096

/**
 * @param isWanted asked before each file; once it says no, there is no answer
 * @returns `undefined` when the directory, or any in it, cannot be read. Never rejects
 */
export const dataDirectoryBytes = async (directory: string, isWanted: () => boolean): Promise<number | undefined> => {
  let bytes = 0
  try {
    for await (const fileBytes of sizes(directory)) {
      if (!isWanted()) return undefined
      bytes += fileBytes
    }
    return isWanted() ? bytes : undefined
  } catch {
    return undefined
  }
}

async function* sizes(directory: string): AsyncGenerator<number> {
  for (const name of await readdir(directory)) {
    if (INTERNAL.test(name)) continue
    const path = join(directory, name)
    const found = await unlessGone(stat(path))
    if (found?.isDirectory() === true) yield* sizesOfTables(path)
    else if (found?.isFile() === true) yield COPIED_BY_NAME.test(name) || isCopied(name) ? found.size : 0
  }
}

async function* sizesOfTables(database: string): AsyncGenerator<number> {
  for (const name of (await unlessGone(readdir(database))) ?? []) {
    if (INTERNAL.test(name) || !isCopied(name)) continue
    const path = join(database, name)
    yield await sizeOf(path)
    if (name.endsWith(LINK)) yield await linkedSize(path)
  }
}

const isCopied = (name: string): boolean => COPIED_BY_ENDING.test(name)

/** Whether a backup program copies a file of that name; what lies elsewhere in the data directory it does not. */
export const isCopiedFile = (name: string, where: 'at the top' | 'in a database'): boolean =>
  !INTERNAL.test(name) && (isCopied(name) || (where === 'at the top' && COPIED_BY_NAME.test(name)))

const sizeOf = async (path: string): Promise<number> => {
  const found = await unlessGone(stat(path))
  return found?.isFile() === true ? found.size : 0
}

const linkedSize = async (link: string): Promise<number> => {
  if ((await sizeOf(link)) > MAX_LINK_BYTES) return 0
  const target = (await unlessGone(readFile(link, 'utf8')))?.trim() ?? ''
  return target.startsWith('/') ? sizeOf(target) : 0
}

/** What was dropped since is not copied either. */
const unlessGone = async <Found>(looking: Promise<Found>): Promise<Found | undefined> => {
  try {
    return await looking
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
