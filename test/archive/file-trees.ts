/** Scratch directories, and what lies in them. */

import { createHash } from 'node:crypto'
import { lstatSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Scratch {
  readonly directory: string
  remove(): void
}

/** A new, empty, private directory. */
export const makeScratch = (): Scratch => {
  const directory = mkdtempSync(join(tmpdir(), 'kv-archive-'))
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) }
}

/** Every file and directory below: `path` → what it is. Two equal trees have equal maps. */
export const readTree = (root: string): Map<string, string> => {
  const tree = new Map<string, string>()
  for (const name of readdirSync(root, { recursive: true, encoding: 'utf8' }).sort()) {
    const path = join(root, name)
    const stats = lstatSync(path)
    tree.set(
      name,
      stats.isFile() ? `${stats.size} ${sha256(readFileSync(path))}` : stats.isDirectory() ? 'directory' : 'other',
    )
  }
  return tree
}

export const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
