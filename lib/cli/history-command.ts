/**
 * `backup-agent history`: which backups were made here, and how each of them ended.
 *
 * A job that has not ended, but whose process is gone, is shown as what the agent will
 * call it at its next start: interrupted.
 */

import { Command, InvalidArgumentError, Option } from 'commander'

import { type History, type JobRecord, ProcessTable, readHistory } from '../history/index.ts'
import { runReported } from './report.ts'
import { formatBytes, formatSeconds } from './values.ts'

/** Where a service manager keeps what an agent must remember. */
export const DEFAULT_STATE_DIRECTORY = '/var/lib/kv-backup-agent'

interface HistoryOptions {
  readonly stateDir: string
  readonly last?: number
  readonly json?: true
}

type Shown = JobRecord & { readonly processGone?: true }

export const historyCommand = (): Command =>
  new Command('history')
    .description('list the backups that were asked of this host, and how each of them ended')
    .option('--state-dir <DIR>', 'where the agent remembers', DEFAULT_STATE_DIRECTORY)
    .addOption(new Option('--last <N>', 'only the newest so many').argParser(parseJobs))
    .option('--json', 'print it as JSON')
    .action((options: HistoryOptions) =>
      runReported({
        json: options.json ?? false,
        stream: process.stdout,
        work: async () => {
          const { jobs, damagedLines } = await readHistory(options.stateDir)
          return { jobs: await shown(jobs.slice(-(options.last ?? jobs.length))), damagedLines }
        },
        asJson: ({ jobs, damagedLines }) => ({ status: 'OK', damagedLines, jobs }),
        forPeople,
      }),
    )

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

const HEADINGS = ['STARTED', 'STATE', 'TIME', 'SIZE', 'ENGINE', 'PEER', 'SESSION', 'WHY']

const forPeople = ({ jobs, damagedLines }: History & { readonly jobs: readonly Shown[] }): string => {
  const rows = jobs.map((record) => cells(record).map(printable))
  const widths = HEADINGS.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const line = (row: readonly string[]): string => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  ')
  const lines = jobs.length === 0 ? ['no backup was asked for yet'] : [HEADINGS, ...rows].map(line)
  const damage = damagedLines === 0 ? [] : [`${damagedLines} damaged lines of the history were set aside`]
  return [...lines, ...damage].map((text) => `${text.trimEnd()}\n`).join('')
}

const cells = (record: Shown): string[] => {
  const { startedAt, engine, engineVersion, peer, sid } = record
  const who = [`${engine} ${engineVersion ?? ''}`.trimEnd(), peer, sid]
  const at = `${startedAt.slice(0, 19).replace('T', ' ')}Z`
  if (record.state === 'running') {
    return [
      at,
      record.processGone ? 'interrupted' : 'running',
      '',
      '',
      ...who,
      record.processGone ? 'process gone' : '',
    ]
  }
  const { state, seconds, bytes, code } = record
  const time = seconds === undefined ? '' : formatSeconds(seconds)
  return [at, state, time, bytes === undefined ? '' : formatBytes(bytes), ...who, code ?? '']
}

/** Names come from the other side of a socket: nothing of them may move the cursor. */
const printable = (text: string): string => text.replace(/\p{C}/gu, '?')
