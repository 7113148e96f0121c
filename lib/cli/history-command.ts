/**
 * `backup-agent history`: which backups were made here, and how each of them ended.
 *
 *     STARTED (UTC)     OUTCOME    SESSION  ENGINE                   SIZE     TIME   CODE
 *     2026-03-01 02:00  delivered  nightly  mariadb-backup 10.11.19  1.2 MiB  3.3 s
 *     2026-03-02 02:00  failed     nightly  mariadb-backup 10.11.19           0.2 s  ENGINE_LOGIN
 *         the database refused the login of "backup"
 *
 * A job that has not ended, but whose process is gone, is shown as what the agent will
 * call it at its next start: interrupted.
 */

import { Command, InvalidArgumentError, Option } from 'commander'

import { ownStateDirectory, STATE_DIRECTORY_RULE } from '../config/index.ts'
import { type History, type JobRecord, ProcessTable, readHistory } from '../history/index.ts'
import { runReported } from './report.ts'
import { configOption, configurationOf } from './setting-options.ts'
import { formatBytes, formatSeconds } from './values.ts'

interface HistoryOptions {
  readonly stateDir?: string
  readonly sid?: string
  readonly last?: number
  readonly json?: boolean
}

type Shown = JobRecord & { readonly processGone?: true }

interface ShownHistory extends History {
  readonly jobs: readonly Shown[]
}

export const historyCommand = (): Command =>
  new Command('history')
    .description('list the backups that were asked of this host, and how each of them ended')
    .addOption(configOption())
    .option('--state-dir <DIR>', `where the agent remembers (default: as \`serve\`: ${STATE_DIRECTORY_RULE})`)
    .option('--sid <S>', 'only those of this session')
    .addOption(new Option('--last <N>', 'only the newest so many').argParser(parseJobs))
    .option('--json', 'print it as JSON, with all that is known')
    .action(({ stateDir, sid, last, json = false }: HistoryOptions, command: Command) =>
      runReported({
        json,
        stream: process.stdout,
        work: async () => {
          const { jobs, damagedLines } = await readHistory(stateDir ?? (await configuredStateDirectory(command)))
          const wanted = jobs.filter((record) => sid === undefined || record.sid === sid)
          return { jobs: await shown(wanted.slice(-(last ?? wanted.length))), damagedLines }
        },
        asJson: ({ jobs, damagedLines }) => ({ status: 'OK', damagedLines, jobs }),
        forPeople: (history) => forPeople(history, sid === undefined ? 'no backup was asked for yet' : NO_SESSION),
      }),
    )

/** Whoever names the directory reads it, whatever the configuration says, and however wrong it is. */
const configuredStateDirectory = async (command: Command): Promise<string> =>
  (await configurationOf(command)).settings['state-dir'].value ?? ownStateDirectory()

const NO_SESSION = 'no backup of this session is remembered'

const parseJobs = (text: string): number => {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('Expected a whole number, 1 or more.')
  return Number(text)
}

const shown = async (jobs: readonly JobRecord[]): Promise<Shown[]> => {
  const processes = new ProcessTable()
  const all: Shown[] = []
  for (const record of jobs) {
    const gone = record.state === 'running' && (await processes.isGone(record.process))
    all.push(gone ? { ...record, processGone: true } : record)
  }
  return all
}

const HEADINGS = ['STARTED (UTC)', 'OUTCOME', 'SESSION', 'ENGINE', 'SIZE', 'TIME', 'CODE']
const INDENT = '    '

const forPeople = ({ jobs, damagedLines }: ShownHistory, nothing: string): string => {
  const isAsked = jobs.some(({ caller }) => caller !== undefined)
  const headings = isAsked ? [...HEADINGS, 'BY'] : HEADINGS
  const rows = jobs.map((record) => [...cells(record), ...(isAsked ? [callerText(record)] : [])].map(printable))
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const line = (row: readonly string[]): string => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  ')
  const lines = rows.flatMap((row, at) => [line(row), ...reason(jobs[at]).map((text) => INDENT + printable(text))])
  const damage = damagedLines === 0 ? [] : [`${damagedLines} damaged lines of the history were set aside`]
  return [...(jobs.length === 0 ? [nothing] : [line(headings), ...lines]), ...damage]
    .map((text) => `${text.trimEnd()}\n`)
    .join('')
}

/** The last column, where the agent knows its clients. */
const callerText = ({ caller }: Shown): string => {
  if (caller === undefined) return ''
  const { role, tokenName, certificateName } = caller
  if (tokenName !== undefined) return `${role} (token ${tokenName})`
  return certificateName === undefined ? `${role} (address)` : `${role} (certificate ${certificateName})`
}

const cells = (record: Shown): string[] => {
  const { startedAt, engine, engineVersion, sid, instance } = record
  const head = (outcome: string): string[] => [
    startedAt.slice(0, startedAt.lastIndexOf(':')).replace('T', ' '), // up to the minute
    outcome,
    sid,
    // Where the agent has several servers; the same column, so that scripts find the others where they were.
    `${engine} ${engineVersion ?? ''}`.trimEnd() + (instance === undefined ? '' : ` (${instance})`),
  ]
  if (record.state === 'running') return [...head(record.processGone ? 'interrupted' : 'running'), '', '', '']
  const { state, seconds, bytes, code } = record
  return [
    ...head(state),
    bytes === undefined ? '' : formatBytes(bytes),
    seconds === undefined ? '' : formatSeconds(seconds),
    code ?? '',
  ]
}

/** Why there is no backup, where there is none, or why it is not confirmed; the words of a backup program may be several lines. */
const reason = (record: Shown | undefined): string[] => {
  switch (record?.state) {
    case 'running':
      return record.processGone ? ['the process is gone; the next start of the agent writes this down'] : []
    case 'sent-unconfirmed':
    case 'failed':
    case 'cancelled':
    case 'interrupted':
      return (record.msg ?? '').split('\n').filter((text) => text.trim() !== '')
    default:
      return []
  }
}

/** Names come from the other side of a socket: nothing of them may move the cursor. */
const printable = (text: string): string => text.replace(/\p{C}/gu, '?')
