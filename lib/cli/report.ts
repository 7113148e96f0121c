/**
 * How a command of the client ends: a report on one stream, for people or as JSON.
 *
 * For people: a short table when it went well; a failure is one sentence on standard
 * error (see `run-program.ts`). As JSON: one line in both cases, alone where it stands.
 */

import type { ArchiveFacts } from '../archive/index.ts'
import type { BackupProof, BackupVerdict, Receipt } from '../client/index.ts'
import { BackupError, type ExitStatus } from '../errors/index.ts'
import { outliveFailures, print } from './print.ts'
import { ProgressLine } from './progress-line.ts'
import { withStopSignals } from './stop-signals.ts'
import { markTold } from './told-failures.ts'
import { formatBytes } from './values.ts'

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
  /** For an answer that is not the one hoped for; 0 otherwise. A failure has a status of its own. */
  exitStatus?(result: Result): ExitStatus
}

/** Runs one command with a progress line and stop signals, and reports how it ended. */
export const runReported = async <Result>(reported: Reported<Result>): Promise<void> => {
  const { json, stream } = reported
  outliveFailures(process.stderr) // a terminal that goes away takes its progress line along, and not the work
  const line = new ProgressLine()
  try {
    const result = await withStopSignals((signal) => reported.work(signal, line))
    line.clear()
    await print(stream, json ? `${JSON.stringify(reported.asJson(result))}\n` : reported.forPeople(result))
    const exitStatus = reported.exitStatus?.(result)
    if (exitStatus !== undefined) process.exitCode = exitStatus // run-program hands it on
  } catch (error) {
    line.clear()
    if (json) await print(stream, `${JSON.stringify(failureAsJson(error))}\n`).catch(() => undefined)
    // Where the report goes to standard error, the sentence behind it would make one line of JSON two lines of neither.
    if (json && stream === process.stderr) markTold(error)
    throw error
  }
}

/** What `--json` prints when there is no result. */
const failureAsJson = (error: unknown): Record<string, unknown> => {
  if (!(error instanceof BackupError)) return { status: 'FAILED', code: 'BUG', message: String(error) }
  const { code, message, hint, facts, exitStatus } = error
  return { status: 'FAILED', code, message, hint, facts, exitStatus }
}

/** Values may be words of an agent, or stand in an archive that somebody else has made. */
export const table = (rows: readonly Row[]): string =>
  rows.map(([name, value]) => `${name.padEnd(11)} ${printable(value).trimEnd()}\n`).join('')

/** Rows below headings, each column as wide as its widest cell. */
export const columns = (headings: readonly string[], rows: readonly (readonly string[])[]): string => {
  const cells = [headings, ...rows.map((row) => row.map(printable))]
  const widths = headings.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]): string => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  ')
  return cells.map((row) => `${line(row).trimEnd()}\n`).join('')
}

/** Names come from the other side of a socket: nothing of them may move the cursor. */
export const printable = (text: string): string => text.replace(/\p{C}/gu, '?')

/** Which proof a backup has, in words. */
export const PROOF_WORDS: Readonly<Record<BackupProof, string>> = {
  'agent-verdict': "whole, and the agent's own verdict and digest agree",
  archive: 'whole by its own end and metadata; no verdict of an agent',
}

/** An increment is worth nothing without its base; of a full backup there is nothing to say. */
export const incrementRows = (
  { backupType, lsn }: Pick<ArchiveFacts, 'backupType' | 'lsn'>,
  receipt: Pick<Receipt, 'base'> | undefined,
): Row[] => {
  if (backupType !== 'incremental') return []
  const sid = receipt?.base?.sid
  return [
    [
      'increment',
      `upon the backup that ends at LSN ${lsn.from ?? '?'}${sid === undefined ? '' : ` (${printable(sid)})`}`,
    ],
  ]
}

/** What is compressed: the file, or only the way here. */
export const packedRows = (packed: Receipt['packed'], onItsWay?: string): Row[] => {
  if (packed !== undefined) {
    return [['compressed', `${packed.packing}, ${formatBytes(packed.bytes)} (sha256 of the file ${packed.sha256})`]]
  }
  return onItsWay === undefined ? [] : [['compressed', `on its way, with ${onItsWay}`]]
}

/** Where the backup stands in the server's history, as far as it says. */
export const positionRows = ({ coordinates, lsn }: Pick<ArchiveFacts, 'coordinates' | 'lsn'>): Row[] => {
  const rows = binlogRows(coordinates)
  if (lsn.to !== undefined) rows.push(['LSN', `${lsn.from ?? '?'} to ${lsn.to}`])
  return rows
}

export const binlogRows = ({ binlogFile, binlogPosition, gtid }: BackupVerdict['coordinates']): Row[] => {
  const rows: Row[] = []
  if (binlogFile !== undefined) rows.push(['binary log', `${binlogFile} ${binlogPosition ?? ''}`])
  if (gtid !== undefined && gtid !== '') rows.push(['GTID', gtid])
  return rows
}
