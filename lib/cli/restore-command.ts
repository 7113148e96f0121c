/** `backup-client restore`: a tar file becomes a prepared data directory. */

import { Command } from 'commander'

import { type Restoration, restoreBackup } from '../client/index.ts'
import { PROOF_WORDS, positionRows, runReported, table } from './report.ts'
import { formatBytes, percent } from './values.ts'

interface RestoreOptions {
  readonly target: string
  readonly program?: string
  readonly receipt?: string
  readonly requireVerdict?: true
  readonly json?: boolean
}

export const restoreCommand = (): Command =>
  new Command('restore')
    .description('unpack a backup into an empty directory and prepare it for a server')
    .argument('<FILE>', 'the archive')
    .requiredOption('--target <DIR>', 'directory to make; it is empty or does not exist')
    .option('--program <FILE>', 'the program that prepares, when it is not on the PATH')
    .option('--receipt <FILE>', 'its receipt (default: FILE.receipt, where there is one)')
    .option('--require-verdict', "refuse it without an agent's verdict in its receipt")
    .option('--json', 'print the result as JSON')
    .action((file: string, { target, program, receipt, requireVerdict, json = false }: RestoreOptions) =>
      runReported({
        json,
        stream: process.stdout,
        work: (signal, line) =>
          restoreBackup({
            file,
            target,
            program,
            receipt,
            requireVerdict,
            signal,
            onProgress: ({ stage, bytes, ofBytes, line: said = '' }) =>
              line.show(stage === 'unpacking' ? `unpacking  ${percent(bytes, ofBytes)}` : `preparing  ${said}`),
          }),
        asJson: (restored) => ({ status: 'RESTORED', ...restored }),
        forPeople,
      }),
    )

const forPeople = (restored: Restoration): string =>
  `${table([
    ['restored', restored.directory],
    ['proof', PROOF_WORDS[restored.proof]],
    ['size', `${formatBytes(restored.contentBytes)}, ${restored.files} files`],
    ...positionRows(restored),
  ])}\nNext:\n${restored.nextStep}\n`
