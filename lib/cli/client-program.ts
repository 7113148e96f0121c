/**
 * The command line of `backup-client`: one file a command.
 *
 * Reports and JSON go to standard output, everything else for people to standard error.
 */

import { Command } from 'commander'

import { PRODUCT_VERSION } from '../config/index.ts'
import { cancelCommand } from './cancel-command.ts'
import { fetchCommand } from './fetch-command.ts'
import { pingCommand } from './ping-command.ts'
import { recordCommand } from './record-command.ts'
import { replayCommand } from './replay-command.ts'
import { restoreCommand } from './restore-command.ts'
import { statusCommand } from './status-command.ts'
import { verdictCommand } from './verdict-command.ts'
import { verifyCommand } from './verify-command.ts'

export const clientProgram = (): Command =>
  new Command('backup-client')
    .description('Fetches a backup from a backup-agent, proves that it is whole, restores it.')
    .version(PRODUCT_VERSION, '-V, --version', 'print the version')
    .showHelpAfterError('(backup-client --help says more)')
    .addCommand(fetchCommand())
    .addCommand(verifyCommand())
    .addCommand(restoreCommand())
    .addCommand(pingCommand())
    .addCommand(statusCommand())
    .addCommand(cancelCommand())
    .addCommand(verdictCommand())
    .addCommand(recordCommand())
    .addCommand(replayCommand())
