/**
 * The command line of `backup-agent`: what it can be told to do.
 */

import { Command } from 'commander'

import { PRODUCT_VERSION } from '../config/index.ts'
import { configCommand } from './config-command.ts'
import { doctorCommand } from './doctor-command.ts'
import { historyCommand } from './history-command.ts'
import { serveCommand } from './serve-command.ts'

export const agentProgram = (): Command => {
  const program = new Command('backup-agent')
    .description('Hands a complete backup of this database host to whoever asks for it over the network.')
    .version(PRODUCT_VERSION, '-V, --version', 'print the version')
    .showHelpAfterError('(backup-agent --help says more)')
  for (const command of [serveCommand(), configCommand(), doctorCommand(), historyCommand()]) {
    program.addCommand(command.copyInheritedSettings(program))
  }
  return program
}
