/**
 * The command line of `backup-agent`: what it can be told to do.
 */

import type { Command } from 'commander'

import { type InheritedDoor, openDoor } from '../agent/index.ts'
import { agentCommandLine } from './agent-command-line.ts'
import { certificatesCommand } from './certificates-command.ts'
import { configCommand } from './config-command.ts'
import { doctorCommand } from './doctor-command.ts'
import { historyCommand } from './history-command.ts'
import { inetdCommand } from './inetd-command.ts'
import { serveCommand } from './serve-command.ts'
import { tokenCommand } from './token-command.ts'

/** @param openInheritedDoor for `inetd`: what is behind the descriptor that it was started with */
export const agentProgram = (openInheritedDoor: () => InheritedDoor = () => openDoor(0)): Command =>
  agentCommandLine([
    serveCommand(),
    inetdCommand(openInheritedDoor),
    configCommand(),
    certificatesCommand(),
    doctorCommand(),
    historyCommand(),
    tokenCommand(),
  ])
