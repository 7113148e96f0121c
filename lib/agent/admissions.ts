/**
 * One place for a backup for each server, for as long as the agent lives.
 *
 * A server that is described as before keeps its place when settings are read anew, under whatever name: the backup
 * that occupies it goes on.
 */

import type { ServerSettings } from '../config/index.ts'
import { Admission } from '../jobs/index.ts'

export class Admissions {
  readonly #all = new Map<string, Admission>()
  #isDraining = false

  of({ engine = 'auto', directory, socket, defaultsFile, datadir }: Partial<ServerSettings>): Admission {
    const server = JSON.stringify([engine, directory, socket, defaultsFile, datadir].map((part) => part ?? null))
    const admission = this.#all.get(server) ?? this.#new()
    this.#all.set(server, admission)
    return admission
  }

  /** No new backups of any server, one that is opened later on among them. Resolves when those that run have ended. */
  async drain(): Promise<void> {
    this.#isDraining = true
    await Promise.all([...this.#all.values()].map((admission) => admission.drain()))
  }

  #new(): Admission {
    const admission = new Admission()
    if (this.#isDraining) void admission.drain() // nothing runs there: it is done at once
    return admission
  }
}
