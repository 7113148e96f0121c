/**
 * The command line of `backup-agent`: what it can be told to do.
 */

import { Command } from 'commander'

import { type InheritedDoor, openDoor } from '../agent/index.ts'
import { PRODUCT_VERSION } from '../config/index.ts'
import { certificatesCommand } from './certificates-command.ts'
import { configCommand } from './config-command.ts'
import { doctorCommand } from './doctor-command.ts'
import { historyCommand } from './history-command.ts'
import { inetdCommand } from './inetd-command.ts'
import { serveCommand } from './serve-command.ts'
import { tokenCommand } from './token-command.ts'

/** @param openInheritedDoor for `inetd`: what is behind the descriptor that it was started with */
export const agentProgram = (openInheritedDoor: () => InheritedDoor = () => openDoor(0)): Command => {
  const program = new Command('backup-agent')
    .description('Hands a complete backup of this database host to whoever asks for it over the network.')
    .version(PRODUCT_VERSION, '-V, --version', 'print the version')
    .showHelpAfterError('(backup-agent --help says more)')
  const commands = [
    serveCommand(),
    inetdCommand(openInheritedDoor),
    configCommand(),
    certificatesCommand(),
    doctorCommand(),
    historyCommand(),
    tokenCommand(),
  ]
  for (const command of commands) program.addCommand(command.copyInheritedSettings(program))
  return program
}
