/**
 * Tells how big a file is that a running backup program has open, by the program's own descriptor.
 *
 * The program copies the size a file had when it was opened; its descriptor still points
 * to that very inode, even when the table was dropped since. Names in `/proc/<pid>/fd`
 * are compared from the end and by whole components, because a tablespace may live
 * outside the data directory (`DATA DIRECTORY=…`) while its name in the stream does not
 * say so. Two different inodes with a fitting name mean that we do not know.
 *
 * Looks only. Costs one `readlink` per descriptor, so it is for big files, once each.
 * A program run through a wrapper is not seen: then the size is
 * unknown, and the file goes through the spool.
 */

import { readdirSync, readlinkSync, type Stats, statSync } from 'node:fs'

type OpenFile = Pick<Stats, 'dev' | 'ino' | 'size' | 'mtimeMs'>

/** What the kernel appends to the name of a file that was unlinked while open. */
const DELETED = ' (deleted)'

/** A file is at rest when nobody has written to it for so long; who waits for the program's lock has not. */
const RESTING_MS = 2_000

/**
 * @param pid the program itself, not a shell around it
 * @param path name in the xbstream, with or without `./` in front: `db/t.ibd`
 * @returns bytes; `undefined` when the program does not hold such a file, is gone, or is not ours to look at
 */
export const descriptorSize = (pid: number, path: string): number | undefined => openFile(pid, path)?.size

/**
 * As `descriptorSize`, of a file that nobody has written to in the last two seconds.
 *
 * @param nowMs the time of day in milliseconds, as files have it
 * @returns bytes; `undefined` also when it was written to, or is said to be in the future
 */
export const restingDescriptorSize = (pid: number, path: string, nowMs = Date.now()): number | undefined => {
  const file = openFile(pid, path)
  return file !== undefined && nowMs - file.mtimeMs >= RESTING_MS ? file.size : undefined
}

const openFile = (pid: number, path: string): OpenFile | undefined => {
  const name = path.startsWith('./') ? path.slice(2) : path
  if (name === '' || name.startsWith('/')) return undefined
  const directory = `/proc/${pid}/fd`
  let found: OpenFile | undefined
  for (const descriptor of list(directory)) {
    const link = readLink(`${directory}/${descriptor}`)
    if (link === undefined || !fits(link, name)) continue
    const file = statFile(`${directory}/${descriptor}`)
    if (file === undefined) continue
    if (found !== undefined && (found.ino !== file.ino || found.dev !== file.dev)) return undefined
    found = file
  }
  return found
}

const fits = (link: string, name: string): boolean =>
  link.startsWith('/') && (link.endsWith(`/${name}`) || link.endsWith(`/${name}${DELETED}`))

// A descriptor may be closed, and the program gone, between two of these calls: that is no error, only no answer.

const list = (directory: string): string[] => {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

const readLink = (path: string): string | undefined => {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}

const statFile = (path: string): OpenFile | undefined => {
  try {
    const found = statSync(path)
    return found.isFile() ? found : undefined
  } catch {
    return undefined
  }
}
