/** `backup-client verify`: is this file a whole backup, and if not, why not? */

import { Command } from 'commander'

import { type Verification, verifyBackup } from '../client/index.ts'
import { maxBytesOption, maxSecondsOption } from './limit-options.ts'
import { incrementRows, PROOF_WORDS, packedRows, positionRows, runReported, table } from './report.ts'
import { formatBytes, percent } from './values.ts'

interface VerifyOptions {
  readonly receipt?: string
  readonly requireVerdict?: true
  readonly maxBytes?: number
  readonly maxSeconds?: number
  readonly json?: boolean
}

export const verifyCommand = (): Command =>
  new Command('verify')
    .description('say whether a file is a whole backup, and why not; asks no agent')
    .argument('<FILE>', 'the archive, a tar or an xbstream, compressed or not')
    .option('--receipt <FILE>', 'its receipt (default: FILE.receipt, where there is one)')
    .option('--require-verdict', "refuse it without an agent's verdict in its receipt")
    .addOption(maxBytesOption('most bytes of the archive, whatever its compressed form grows into'))
    .addOption(maxSecondsOption('how long all of it may take'))
    .option('--json', 'print the result as JSON')
    .addHelpText('after', EXAMPLES)
    .action((path: string, { receipt, requireVerdict, maxBytes, maxSeconds, json = false }: VerifyOptions) =>
      runReported({
        json,
        stream: process.stdout,
        work: (signal, line) =>
          verifyBackup(path, {
            receipt,
            requireVerdict,
            maxBytes,
            maxSeconds,
            signal,
            onProgress: (bytes, ofBytes) => line.show(`verifying  ${percent(bytes, ofBytes)}`),
          }),
        asJson: (facts) => ({ status: 'COMPLETE', ...facts }),
        forPeople,
      }),
    )

const EXAMPLES = `
Examples:
  backup-client verify db1.tar
      with db1.tar.receipt beside it every changed bit is found; without it, what the archive itself can tell
  backup-client verify db1.tar --require-verdict
      also that an agent has said then that the backup program succeeded`

const forPeople = (facts: Verification): string =>
  table([
    ['backup', `whole: ${facts.path}`],
    ['proof', PROOF_WORDS[facts.proof]],
    ['receipt', facts.receipt === undefined ? 'none' : `agrees, of ${facts.receipt.finishedAt}`],
    ['size', `${formatBytes(facts.bytes)} (${facts.bytes} bytes), ${facts.files} files`],
    ['sha256', facts.sha256],
    ...packedRows(facts.packed),
    ['engine', `${facts.engine} ${facts.engineVersion ?? ''}`],
    ...incrementRows(facts, facts.receipt),
    ...positionRows(facts),
  ])
