/** `backup-client restore`: a tar file becomes a prepared data directory. */

import { Command } from 'commander'

import { type Restoration, restoreBackup } from '../client/index.ts'
import { maxBytesOption, maxSecondsOption } from './limit-options.ts'
import { PROOF_WORDS, positionRows, runReported, table } from './report.ts'
import { formatBytes, percent } from './values.ts'

interface RestoreOptions {
  readonly target: string
  readonly program?: string
  readonly receipt?: string
  readonly requireVerdict?: true
  readonly maxBytes?: number
  readonly maxSeconds?: number
  readonly json?: boolean
}

export const restoreCommand = (): Command =>
  new Command('restore')
    .description('unpack a backup into an empty directory, apply its increments, and prepare it for a server')
    .argument('<FILE>', 'the archive of a full backup, compressed or not')
    .argument('[INCREMENTS...]', 'archives of what has changed since, in their order')
    .requiredOption('--target <DIR>', 'directory to make; it is empty or does not exist')
    .option('--program <FILE>', 'the program that prepares, when it is not on the PATH')
    .option('--receipt <FILE>', 'its receipt (default: FILE.receipt, where there is one)')
    .option('--require-verdict', "refuse it without an agent's verdict in its receipt")
    .addOption(maxBytesOption('most bytes of each archive, whatever its compressed form grows into'))
    .addOption(maxSecondsOption('how long all of it may take, preparing included'))
    .option('--json', 'print the result as JSON')
    .addHelpText('after', EXAMPLES)
    .action((file: string, increments: readonly string[], options: RestoreOptions) => {
      const { target, program, receipt, requireVerdict, maxBytes, maxSeconds, json = false } = options
      return runReported({
        json,
        stream: process.stdout,
        work: (signal, line) =>
          restoreBackup({
            file,
            increments,
            target,
            program,
            receipt,
            requireVerdict,
            maxBytes,
            maxSeconds,
            signal,
            onProgress: ({ stage, file: read, bytes, ofBytes, line: said = '' }) => {
              const which = increments.length === 0 ? '' : `  ${read}`
              line.show(stage === 'preparing' ? `preparing  ${said}` : `${stage}${which}  ${percent(bytes, ofBytes)}`)
            },
          }),
        asJson: (restored) => ({ status: 'RESTORED', ...restored }),
        forPeople,
      })
    })

const EXAMPLES = `
Examples:
  backup-client restore db1.tar --target restored
  backup-client restore sunday.tar monday.tar tuesday.tar --target restored
      each begins where the one before it ended, or nothing is unpacked`

const forPeople = (restored: Restoration): string =>
  `${table([
    ['restored', restored.directory],
    ...(restored.increments === 0 ? [] : [['increments', `${restored.increments} applied`] as const]),
    ['proof', PROOF_WORDS[restored.proof]],
    ['size', `${formatBytes(restored.contentBytes)}, ${restored.files} files`],
    ...positionRows(restored),
  ])}\nNext:\n${restored.nextStep}\n`
