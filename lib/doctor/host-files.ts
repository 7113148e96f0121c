/**
 * Can other users of this host reach in: where parts wait, where logins are handed over, where a login is kept?
 *
 * An agent refuses to start over any of these, and says the same. What is not there is no
 * door; other looks miss it.
 */

import { tmpdir } from 'node:os'

import { BackupError } from '../errors/index.ts'
import { checkDefaultsFile } from '../server/index.ts'
import { lookAtDirectory } from '../trust/index.ts'
import { type Finding, fail, failedWith, ok } from './finding.ts'

export interface Places {
  readonly spoolDirectory: string
  readonly defaultsFiles: readonly (string | undefined)[]
  /** Where the runtime directory is made; the system's directory for temporary files, if left out. */
  readonly temporary?: string
}

/** One finding when all is well, else one for each place that is not. */
export const checkHostFiles = async (places: Places): Promise<Finding[]> => {
  const { spoolDirectory, defaultsFiles, temporary = tmpdir() } = places
  const findings: Finding[] = []
  for (const directory of new Set([spoolDirectory, temporary])) {
    const lax = await lookAtDirectory(directory).catch(() => undefined)
    if (lax !== undefined) findings.push(fail(CHECK, `${directory}: ${lax.problem}`, lax.command, { directory }))
  }
  for (const path of new Set(defaultsFiles)) {
    if (path === undefined) continue
    const failure = await checkDefaultsFile(path).then(() => undefined, asFailure)
    if (failure !== undefined) findings.push(failedWith(CHECK, failure))
  }
  return findings.length === 0 ? [ok(CHECK, 'nobody else can reach in')] : findings
}

const CHECK = 'host files'

const asFailure = (error: unknown): BackupError => {
  if (error instanceof BackupError) return error
  throw error
}
