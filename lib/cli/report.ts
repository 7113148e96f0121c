/**
 * How a command of the client ends: a report on one stream, for people or as JSON.
 *
 * For people: a short table when it went well; a failure is one sentence on standard
 * error (see `run-program.ts`). As JSON: one line in both cases.
 */

import type { ArchiveFacts } from '../archive/index.ts'
import { BackupError } from '../errors/index.ts'
import { ProgressLine } from './progress-line.ts'
import { withStopSignals } from './stop-signals.ts'

export type Row = readonly [name: string, value: string]

export interface Reported<Result> {
  /** JSON instead of a table. */
  readonly json: boolean
  /** Where the report goes. */
  readonly stream: NodeJS.WritableStream
  work(signal: AbortSignal, line: ProgressLine): Promise<Result>
  /** What JSON shows; `status` first. */
  asJson(result: Result): Record<string, unknown>
  forPeople(result: Result): string
}

/** Runs one command with a progress line and stop signals, and reports how it ended. */
export const runReported = async <Result>(reported: Reported<Result>): Promise<void> => {
  const { json, stream } = reported
  const line = new ProgressLine()
  try {
    const result = await withStopSignals((signal) => reported.work(signal, line))
    line.clear()
    stream.write(json ? `${JSON.stringify(reported.asJson(result))}\n` : reported.forPeople(result))
  } catch (error) {
    line.clear()
    if (json) stream.write(`${JSON.stringify(failureAsJson(error))}\n`)
    throw error
  }
}

/** What `--json` prints when there is no result. */
const failureAsJson = (error: unknown): Record<string, unknown> => {
  if (!(error instanceof BackupError)) return { status: 'FAILED', code: 'BUG', message: String(error) }
  const { code, message, hint, facts, exitStatus } = error
  return { status: 'FAILED', code, message, hint, facts, exitStatus }
}

export const table = (rows: readonly Row[]): string =>
  rows.map(([name, value]) => `${name.padEnd(11)} ${value.trimEnd()}\n`).join('')

/** Where the backup stands in the server's history, as far as it says. */
export const positionRows = ({ coordinates, lsn }: Pick<ArchiveFacts, 'coordinates' | 'lsn'>): Row[] => {
  const rows: Row[] = []
  const { binlogFile, binlogPosition, gtid } = coordinates
  if (binlogFile !== undefined) rows.push(['binary log', `${binlogFile} ${binlogPosition ?? ''}`])
  if (gtid !== undefined && gtid !== '') rows.push(['GTID', gtid])
  if (lsn.to !== undefined) rows.push(['LSN', `${lsn.from ?? '?'} to ${lsn.to}`])
  return rows
}
