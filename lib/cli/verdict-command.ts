/** `backup-client verdict`: how did the newest backup of a session end, in the agent's own word? */

import { Command } from 'commander'

import { type BackupVerdict, backupVerdict } from '../client/index.ts'
import { DEFAULT_PORT } from '../config/index.ts'
import { EXIT, type ExitStatus } from '../errors/index.ts'
import { binlogRows, printable, type Row, runReported, table } from './report.ts'
import { addTokenOptions, readTokenOptions, type TokenFlags } from './token.ts'
import { addTlsOptions, type TlsWords, tlsOf } from './tls-options.ts'
import { type Address, formatBytes, formatSeconds, parseAddress } from './values.ts'

type VerdictFlags = { readonly wait?: boolean; readonly json?: boolean } & TokenFlags & TlsWords

export const verdictCommand = (): Command =>
  addTokenOptions(
    addTlsOptions(
      new Command('verdict')
        .description("print the agent's verdict on the newest backup of a session")
        .argument('<HOST[:PORT]>', `the agent (port ${DEFAULT_PORT} by default)`, parseAddress(DEFAULT_PORT))
        .argument('<SID>', 'name of the session, as fetch or status show it')
        .option('--wait', 'ask every second until the backup has ended')
        .option('--json', 'print the verdict, or the failure, as JSON'),
    ),
  )
    .addHelpText('after', HELP)
    .action((address: Address, sid: string, { wait = false, json = false, ...flags }: VerdictFlags) =>
      runReported({
        json,
        stream: process.stdout,
        work: async (signal, line) =>
          backupVerdict(sid, {
            ...address,
            tls: tlsOf(flags),
            ...(await readTokenOptions(flags)),
            wait,
            signal,
            onRunning: (verdict) => line.show(runningText(verdict)),
          }),
        asJson: (verdict) => ({ ...verdict }),
        forPeople,
        exitStatus: ({ status }) => EXIT_OF[status],
      }),
    )

const EXIT_OF: Readonly<Record<BackupVerdict['status'], ExitStatus>> = {
  COMPLETE: EXIT.ok,
  FAILED: EXIT.failed,
  RUNNING: EXIT.refused, // the agent was asked for a verdict, and has none to give
}

const HELP = `
Exit status: ${EXIT.ok} complete, ${EXIT.failed} failed, ${EXIT.refused} no verdict: it still runs, or no backup has that name.

Examples:
  backup-client verdict db1 nightly
  backup-client verdict db1 nightly --wait --json`

const runningText = ({ bytes = 0, percent, etaSeconds }: BackupVerdict): string => {
  const done = percent === undefined ? [] : [`${percent} %`]
  const left = etaSeconds === undefined ? [] : [`${formatSeconds(etaSeconds)} left`]
  return ['running', ...done, formatBytes(bytes), ...left].join('  ')
}

/** What of it was copied, as the backup program said; its own checkpoint file has other words for that. */
const redoText = ({ lsn: { from, to, checkpoint } }: BackupVerdict): string | undefined => {
  if (to === undefined) return undefined
  return `LSN ${from ?? '?'} to ${to}${checkpoint === undefined ? '' : `, checkpoint ${checkpoint}`}`
}

const forPeople = (verdict: BackupVerdict): string => {
  const { status, msg, outcome, bytes, entries, sha256, code, started, ended } = verdict
  const row = (name: string, value: string | undefined): Row[] =>
    value === undefined ? [] : [[name, printable(value)]]
  return table([
    ['verdict', printable(`${status}${outcome === undefined ? '' : ` (${outcome})`}${msg === '' ? '' : `: ${msg}`}`)],
    ['session', printable(`${verdict.sid}, job ${verdict.job}`)],
    ...row('code', code),
    ...row('size', bytes === undefined ? undefined : `${formatBytes(bytes)} (${bytes} bytes)`),
    ...row('entries', entries === undefined ? undefined : `${entries}`),
    ...row('sha256', sha256),
    ...binlogRows(verdict.coordinates).map(([name, value]): Row => [name, printable(value)]),
    ...row('redo log', redoText(verdict)),
    ...row('started', started),
    ...row('ended', ended),
  ])
}
