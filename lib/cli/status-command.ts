/** `backup-client status`: what is this agent, and what does it do now? */

import { Command } from 'commander'

import { type AgentStatus, agentStatus, type RunningJob } from '../client/index.ts'
import { DEFAULT_PORT } from '../config/index.ts'
import { columns, printable, type Row, runReported, table } from './report.ts'
import { addTokenOptions, readTokenOptions, type TokenFlags } from './token.ts'
import { addTlsOptions, type TlsWords, tlsOf } from './tls-options.ts'
import { type Address, formatBytes, formatSeconds, parseAddress } from './values.ts'

export const statusCommand = (): Command =>
  addTokenOptions(
    addTlsOptions(
      new Command('status')
        .description('show an agent and the backups that it makes now')
        .argument('<HOST[:PORT]>', `the agent (port ${DEFAULT_PORT} by default)`, parseAddress(DEFAULT_PORT))
        .option('--json', 'print it, or the failure, as JSON'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action((address: Address, { json = false, ...flags }: { json?: boolean } & TokenFlags & TlsWords) =>
      runReported({
        json,
        stream: process.stdout,
        work: async (signal) =>
          agentStatus({ ...address, tls: tlsOf(flags), ...(await readTokenOptions(flags)), signal }),
        asJson: (status) => ({ status: 'OK', ...status }),
        forPeople,
      }),
    )

const EXAMPLES = `
Examples:
  backup-client status db1
  backup-client status db1 --json | jq '.jobs[].percent'`

const HEADINGS = ['SESSION', 'STATE', 'STAGE', 'DONE', 'LEFT', 'TIME', 'SIZE', 'SENT', 'FILES', 'PEER']

const forPeople = (status: AgentStatus): string => {
  const { agent, protocol, engine, engineVersion, uptimeSeconds, history, instances, jobs } = status
  const memory: Row[] = history === undefined ? [] : [['history', printable(history)]]
  const head = table([
    ['agent', `${printable(agent)}, protocol ${printable(protocol)}, up ${formatSeconds(uptimeSeconds)}`],
    ['engine', printable(`${engine} ${engineVersion}`)],
    ...memory,
    ...(instances === undefined ? [] : [['servers', printable(instances.join(', '))] as const]),
  ])
  const running =
    instances === undefined ? columns(HEADINGS, jobs.map(cells)) : columns([...HEADINGS, SERVER], jobs.map(ofServer))
  return `${head}\n${jobs.length === 0 ? 'no backup is running\n' : running}`
}

const isCompressed = ({ compression = 'none' }: RunningJob): boolean => compression !== 'none'

/** Said only where there are several. */
const SERVER = 'SERVER'
const ofServer = (job: RunningJob): string[] => [...cells(job), job.instance ?? '']

const cells = (job: RunningJob): string[] => [
  job.sid,
  job.state,
  job.stage,
  job.percent === undefined ? '' : `${job.percent} %`,
  job.etaSeconds === undefined ? '' : formatSeconds(job.etaSeconds),
  formatSeconds(job.seconds),
  job.bytes === undefined ? '' : formatBytes(job.bytes),
  job.sent === undefined ? '' : `${formatBytes(job.sent)}${isCompressed(job) ? `, ${job.compression}` : ''}`,
  `${job.files ?? ''}`,
  job.peer,
]
