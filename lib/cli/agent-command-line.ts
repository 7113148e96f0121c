/**
 * `backup-agent` around commands of its own: name, version, and how mistakes are answered.
 */

import { Command } from 'commander'

import { PRODUCT_VERSION } from '../config/index.ts'

export const agentCommandLine = (commands: readonly Command[]): Command => {
  const program = new Command('backup-agent')
    .description('Hands a complete backup of this database host to whoever asks for it over the network.')
    .version(PRODUCT_VERSION, '-V, --version', 'print the version')
    .showHelpAfterError('(backup-agent --help says more)')
  for (const command of commands) program.addCommand(command.copyInheritedSettings(program))
  return program
}
