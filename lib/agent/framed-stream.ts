/**
 * A backup as a framed stream: data, progress every few seconds, and the end that says how it ended.
 *
 *     job.archive() ─▶ D D P D … P D ─┬▶ E status=COMPLETE   the verdict was good
 *                                     └▶ E status=FAILED     whatever else happened
 *
 * The end is not made here by anybody's decision: only a job that has a result is complete.
 * Format: PROTOCOL.md, "x-framed-stream".
 */

import { blockFrame, dataFrames } from '../encodings/index.ts'
import type { BackupError } from '../errors/index.ts'
import { PULSE, type Wait, withPulse } from '../flow/index.ts'
import type { BackupJob } from '../jobs/index.ts'
import { writeEnd, writeProgress } from '../protocol/index.ts'
import { messageFor } from './send.ts'

/** A client may take a minute without a frame for a broken connection. */
const PROGRESS_MS = 2_000

/** Bursts of frames up to the end frame. Returns only when the backup is complete; throws as `job.archive`. */
export async function* framedStream(job: BackupJob, wait: Wait): AsyncGenerator<Buffer[]> {
  yield [progressFrame(job)]
  for await (const piece of withPulse(job.archive(), PROGRESS_MS, wait)) {
    yield piece === PULSE ? [progressFrame(job)] : dataFrames(piece)
  }
}

const progressFrame = (job: BackupJob): Buffer => {
  const { archiveBytes, sentBytes, members, stage, percent, etaSeconds } = job.progress()
  return blockFrame(
    'progress',
    writeProgress({
      bytes: archiveBytes,
      sent: sentBytes,
      files: members,
      stage,
      ...(percent === undefined ? {} : { percent }),
      ...(etaSeconds === undefined ? {} : { eta: etaSeconds }),
    }),
  )
}

/** @throws Error when the job has no result: then there is nothing complete to tell of */
export const completeFrame = ({ order, result }: BackupJob): Buffer => {
  if (result === undefined) throw new Error('bug: a complete end without a result')
  const { name, version } = order.engine.identity
  const { increment } = result
  const { sid: baseSid, sha256: baseSha256 } = order.base?.known ?? {}
  return blockFrame(
    'end',
    writeEnd({
      status: 'COMPLETE',
      msg: `${order.what ?? 'a full backup'} by ${name} ${version}: ${result.bytes} bytes of archive`,
      sid: order.sid,
      bytes: result.bytes,
      sha256: result.sha256,
      entries: result.members,
      coordinates: result.coordinates,
      lsn: result.lsn,
      paddedFiles: result.padded.length,
      paddedBytes: result.padded.reduce((sum, { zeroBytes }) => sum + zeroBytes, 0),
      engine: name,
      engineVersion: version,
      engineExit: result.exitCode,
      increment: increment === undefined ? undefined : { ...increment, baseSid, baseSha256 },
      server: order.server,
    }),
  )
}

export const failedFrame = (job: BackupJob, error: unknown): Buffer => {
  const { exitCode, signal } = job.engineOutcome ?? {}
  return blockFrame(
    'end',
    writeEnd({
      status: 'FAILED',
      msg: messageFor(error),
      sid: job.order.sid,
      code: (error as Partial<BackupError>).code ?? 'BUG',
      bytes: job.progress().archiveBytes,
      ...(exitCode === undefined ? {} : { engineExit: exitCode }),
      ...(signal === undefined ? {} : { engineSignal: signal }),
    }),
  )
}
