/**
 * Every name of an archive, so that none stands twice and none stands where it cannot.
 *
 *     shop/a.ibd      makes `shop` a directory, whether it is a member or not
 *     shop            as a file is refused then, and `shop/a.ibd` after a file `shop` too
 *
 * A second member of one name would silently replace the first when it is unpacked. Names that differ in case only are
 * different names, as they are to Linux.
 *
 * Memory: one entry for a name, bounded by the limits below. Pure.
 */

import { BackupError } from '../errors/index.ts'
import { showPath } from './safe-path.ts'

export const NAME_LIMITS = {
  /** Two files for each of a million tables. */
  names: 2 ** 21,
  /** All names together: 128 characters each if there are as many as there may be. */
  characters: 2 ** 28,
} as const

/** `implied` is a directory that was only seen as a part of other names, until it comes itself. */
type Kind = 'file' | 'directory' | 'implied'

export class MemberNames {
  readonly #kinds = new Map<string, Kind>()
  readonly #limits: { readonly names: number; readonly characters: number }
  #characters = 0

  constructor(limits: { readonly names: number; readonly characters: number } = NAME_LIMITS) {
    this.#limits = limits
  }

  /**
   * Takes one more name.
   *
   * @param path as `checkSafePath` returned it
   * @throws BackupError `ARCHIVE_DUPLICATE`; `ARCHIVE_LIMIT` when there are more names than any server has files
   */
  add(path: string, kind: 'file' | 'directory'): void {
    const standing = this.#kinds.get(path)
    if (standing !== undefined && !(standing === 'implied' && kind === 'directory')) {
      throw duplicate(path, standing === kind ? `a second ${kind} of that name` : `a ${kind} where a directory stands`)
    }
    this.#set(path, kind)
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
      const parent = path.slice(0, slash)
      const parentKind = this.#kinds.get(parent)
      if (parentKind === 'file') throw duplicate(path, `it below ${showPath(parent)}, which is a file`)
      if (parentKind !== undefined) return // its own parents were seen when it came
      this.#set(parent, 'implied')
    }
  }

  #set(path: string, kind: Kind): void {
    if (!this.#kinds.has(path)) this.#characters += path.length
    this.#kinds.set(path, kind)
    if (this.#kinds.size > this.#limits.names || this.#characters > this.#limits.characters) {
      throw new BackupError(
        'ARCHIVE_LIMIT',
        `expected at most ${this.#limits.names} names of ${this.#limits.characters} characters together, found more at ${showPath(path)}`,
        { names: this.#kinds.size, characters: this.#characters },
      )
    }
  }
}

const duplicate = (path: string, found: string): BackupError =>
  new BackupError('ARCHIVE_DUPLICATE', `expected ${showPath(path)} once in the archive, found ${found}`, {
    path: showPath(path),
  })
