/**
 * Decides whether a backup is complete. Nothing else in the agent may.
 *
 * It looks at facts alone, each of which can be checked by hand afterwards in the log
 * line that carries them. One fact that does not hold makes the backup no backup.
 *
 * Pure. The list of facts: README, "What complete means".
 */

import { compressorFailure, type FilterEnd } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'

/** Everything that is known when the engine is gone and every byte was handed on, but the end has not left. */
export interface BackupFacts {
  /** How the engine ended; for an engine without a child, exit code 0 and its own word for having read everything. */
  readonly exitCode: number | undefined
  readonly signal: string | undefined
  readonly saidOk: boolean
  /** The engine's failure as it understood its own words. */
  readonly engineFailure: BackupError | undefined
  /** Why the job was stopped, if it was. */
  readonly stopped: BackupError | undefined
  /** How the compressor ended, where there is one. */
  readonly compressor?: FilterEnd | undefined
  /** Members of the archive, without the mark. */
  readonly members: number
  /** Metadata files that the engine writes last and that are not in the archive. */
  readonly metadataMissing: readonly string[]
  /** Why it is not the increment that was asked for; undefined for one that is, and for a full backup. */
  readonly incrementFailure?: BackupError | undefined
  /** Bytes of the archive, its end included, as the archive room counted them. */
  readonly archiveBytes: number
  /** Bytes of the archive that came out of the spill and were handed on, to the compressor where there is one. */
  readonly sentBytes: number
}

export type Verdict = { readonly complete: true } | { readonly complete: false; readonly failure: BackupError }

/** @returns the verdict, with the first fact that does not hold as its failure: the cause before its consequences */
export const decideVerdict = (facts: BackupFacts): Verdict => {
  const failure = firstFailure(facts)
  return failure === undefined ? { complete: true } : { complete: false, failure }
}

const firstFailure = (facts: BackupFacts): BackupError | undefined => {
  if (facts.stopped !== undefined) return facts.stopped
  if (facts.engineFailure !== undefined) return facts.engineFailure
  if (facts.signal !== undefined) {
    return new BackupError('ENGINE_FAILED', `the backup program was killed by ${facts.signal}`, {
      signal: facts.signal,
    })
  }
  if (facts.exitCode !== 0) {
    const exitCode = facts.exitCode ?? null
    return new BackupError('ENGINE_FAILED', `the backup program exited with ${exitCode}, expected 0`, { exitCode })
  }
  if (!facts.saidOk) {
    return new BackupError('ENGINE_NO_OK', 'the backup program exited with 0 but did not end with its word of success')
  }
  const compressor = facts.compressor === undefined ? undefined : compressorFailure(facts.compressor)
  if (compressor !== undefined) return compressor
  if (facts.members === 0) return new BackupError('JOB_INCOMPLETE', 'the archive has no member')
  if (facts.metadataMissing.length > 0) {
    return new BackupError(
      'ARCHIVE_METADATA_MISSING',
      `the backup program said it succeeded but did not write ${facts.metadataMissing.join(', ')}`,
      { missing: facts.metadataMissing },
    )
  }
  if (facts.incrementFailure !== undefined) return facts.incrementFailure
  if (facts.archiveBytes !== facts.sentBytes) {
    const { archiveBytes, sentBytes } = facts
    return new BackupError('JOB_INCOMPLETE', `the archive has ${archiveBytes} bytes, ${sentBytes} were sent`, {
      archiveBytes,
      sentBytes,
    })
  }
  return undefined
}
