/** `backup-client cancel`: stops the running backups of a session, and waits until they are gone. */

import { Command } from 'commander'

import { cancelBackup } from '../client/index.ts'
import { DEFAULT_PORT } from '../config/index.ts'
import { printable, runReported } from './report.ts'
import { addTokenOptions, readTokenOptions, type TokenFlags } from './token.ts'
import { addTlsOptions, type TlsWords, tlsOf } from './tls-options.ts'
import { type Address, parseAddress } from './values.ts'

export const cancelCommand = (): Command =>
  addTokenOptions(
    addTlsOptions(
      new Command('cancel')
        .description('stop the running backups of a session; returns when their programs are gone')
        .argument('<HOST[:PORT]>', `the agent (port ${DEFAULT_PORT} by default)`, parseAddress(DEFAULT_PORT))
        .argument('<SID>', 'name of the session, as fetch or status show it')
        .option('--json', 'print the result, or the failure, as JSON'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action((address: Address, sid: string, { json = false, ...flags }: { json?: boolean } & TokenFlags & TlsWords) =>
      runReported({
        json,
        stream: process.stdout,
        work: async (signal) =>
          cancelBackup(sid, { ...address, tls: tlsOf(flags), ...(await readTokenOptions(flags)), signal }),
        asJson: (cancelled) => ({ status: 'OK', sid, cancelled }),
        forPeople: (cancelled) => `cancelled   ${cancelled} of session ${printable(sid)}\n`,
      }),
    )

const EXAMPLES = `
Examples:
  backup-client cancel db1 nightly
      exit status 3 when no backup of that session is running`
