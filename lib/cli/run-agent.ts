/**
 * Runs the command line of `backup-agent`, and tells the client of an inetd what is wrong with it.
 *
 *     inetd      its own command, and nothing else: a process starts for each client, and starts as slowly as it is large
 *     serve      its own command: it stays, and so does in memory what was loaded with it
 *     any other  all commands: what was mistyped can be compared with them
 */

import type { Command } from 'commander'

import { type InheritedDoor, openDoor, refuseAll } from '../agent/index.ts'
import { agentCommandLine } from './agent-command-line.ts'
import { exitWith } from './exit-with.ts'
import { inetdCommand } from './inetd-command.ts'
import { runProgram } from './run-program.ts'
import { takeServiceEnvironment } from './service-environment.ts'

/** Where inetd puts the socket; and systemd, with StandardInput=socket. */
const STANDARD_INPUT = 0

/** @param argv as in `process.argv`. Resolves when everything is printed and told, and the process has its exit status */
export const runAgent = async (argv: readonly string[]): Promise<void> => {
  let door: InheritedDoor | undefined
  const open = (): InheritedDoor => {
    // Without StandardInput=socket, systemd passes it as descriptor 3.
    door ??= openDoor(takeServiceEnvironment(process.env, process.pid).descriptors[0] ?? STANDARD_INPUT)
    return door
  }
  const tellClients = async (error: unknown): Promise<void> => {
    try {
      await refuseAll(open(), error)
    } catch {
      // there is no socket, and so no client
    }
  }
  const [, , name] = argv
  // Who serves one client and ends has no flood to outlive.
  if (name !== 'inetd' || argv.includes('--wait')) (await import('./small-young-heap.ts')).keepYoungHeapSmall()
  const program = await commandLine(name, open)
  await exitWith(runProgram(program, argv, name === 'inetd' ? tellClients : undefined))
}

const commandLine = async (name: string | undefined, open: () => InheritedDoor): Promise<Command> => {
  switch (name) {
    case 'inetd':
      return agentCommandLine([inetdCommand(open)])
    case 'serve':
      return agentCommandLine([(await import('./serve-command.ts')).serveCommand()])
    default:
      return (await import('./agent-program.ts')).agentProgram(open)
  }
}
