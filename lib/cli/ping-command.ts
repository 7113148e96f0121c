/** `backup-client ping`: is an agent there, which one, and how fast does it answer? */

import { Command } from 'commander'

import { type Ping, pingAgent } from '../client/index.ts'
import { DEFAULT_PORT } from '../config/index.ts'
import { printable, runReported, table } from './report.ts'
import { addTlsOptions, type TlsWords, tlsOf } from './tls-options.ts'
import { type Address, parseAddress } from './values.ts'

export const pingCommand = (): Command =>
  addTlsOptions(
    new Command('ping')
      .description('say whether an agent answers, and which')
      .argument('<HOST[:PORT]>', `the agent (port ${DEFAULT_PORT} by default)`, parseAddress(DEFAULT_PORT))
      .option('--json', 'print the answer, or the failure, as JSON'),
  )
    .addHelpText('after', EXAMPLES)
    .action((address: Address, { json = false, ...words }: TlsWords & { json?: boolean }) =>
      runReported({
        json,
        stream: process.stdout,
        work: (signal) => pingAgent({ ...address, tls: tlsOf(words), signal }),
        asJson: (ping) => ({ status: 'OK', ...ping }),
        forPeople,
      }),
    )

const EXAMPLES = `
Examples:
  backup-client ping db1
  backup-client ping db1 || echo "no backup tonight: $?"
      exit status 6 when nobody answers, 3 when the agent is older than protocol 0.77`

const forPeople = ({ agent, protocol, roundTripMs }: Ping): string =>
  table([
    ['agent', printable(agent)],
    ['protocol', printable(protocol)],
    ['round trip', `${roundTripMs} ms`],
  ])
