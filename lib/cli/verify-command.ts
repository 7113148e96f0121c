/** `backup-client verify`: is this tar file a whole backup, and if not, why not? */

import { Command } from 'commander'

import { type Verification, verifyBackup } from '../client/index.ts'
import { positionRows, runReported, table } from './report.ts'
import { formatBytes, percent } from './values.ts'

export const verifyCommand = (): Command =>
  new Command('verify')
    .description('say whether a tar file is a whole backup, and why not')
    .argument('<FILE>', 'the archive')
    .option('--json', 'print the result as JSON')
    .action((path: string, { json = false }: { json?: boolean }) =>
      runReported({
        json,
        stream: process.stdout,
        work: (signal, line) =>
          verifyBackup(path, {
            signal,
            onProgress: (bytes, ofBytes) => line.show(`verifying  ${percent(bytes, ofBytes)}`),
          }),
        asJson: (facts) => ({ status: 'COMPLETE', ...facts }),
        forPeople,
      }),
    )

const forPeople = (facts: Verification): string =>
  table([
    ['backup', `whole: ${facts.path}`],
    ['size', `${formatBytes(facts.bytes)} (${facts.bytes} bytes), ${facts.files} files`],
    ['sha256', facts.sha256],
    ['engine', `${facts.engine} ${facts.mark?.engineVersion ?? ''}`],
    ...positionRows(facts),
  ])
