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

import { readdirSync, readlinkSync, statSync } from 'node:fs'

/** What the kernel appends to the name of a file that was unlinked while open. */
const DELETED = ' (deleted)'

/**
 * @param pid the program itself, not a shell around it
 * @param path name in the xbstream, with or without `./` in front: `db/t.ibd`
 * @returns bytes; `undefined` when the program does not hold such a file, is gone, or is not ours to look at
 */
export const descriptorSize = (pid: number, path: string): number | undefined => {
  const name = path.startsWith('./') ? path.slice(2) : path
  if (name === '' || name.startsWith('/')) return undefined
  const directory = `/proc/${pid}/fd`
  let found: { device: number; inode: number; size: number } | undefined
  for (const descriptor of list(directory)) {
    const link = readLink(`${directory}/${descriptor}`)
    if (link === undefined || !fits(link, name)) continue
    const file = statFile(`${directory}/${descriptor}`)
    if (file === undefined) continue
    if (found !== undefined && (found.inode !== file.ino || found.device !== file.dev)) return undefined
    found = { device: file.dev, inode: file.ino, size: file.size }
  }
  return found?.size
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

const statFile = (path: string): { dev: number; ino: number; size: number } | undefined => {
  try {
    const found = statSync(path)
    return found.isFile() ? found : undefined
  } catch {
    return undefined
  }
}
