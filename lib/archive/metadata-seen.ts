/**
 * Notes which of the files that an engine writes beside the data go into an archive.
 *
 * By name and place alone: what stands in them is read by whoever proves the archive.
 */

import { metadataRole } from './metadata.ts'
import type { MetadataFound } from './types.ts'

export class MetadataSeen {
  readonly #found: { -readonly [Role in keyof MetadataFound]: MetadataFound[Role] } = {
    checkpoints: undefined,
    info: undefined,
    configuration: undefined,
    redoLog: undefined,
  }

  get found(): MetadataFound {
    return this.#found
  }

  /** @param path of a member; only those at top level count */
  see(path: string): void {
    const role = metadataRole(path)
    if (role !== undefined && isNeeded(role, this.#found)) this.#found[role] = path
  }
}

/** Coordinates are good to have; a backup without them is whole all the same. */
const isNeeded = (role: string, found: MetadataFound): role is keyof MetadataFound => role in found
