/**
 * Runs the command line of `backup-agent`, and tells the client of an inetd what is wrong with it.
 */

import { type InheritedDoor, openDoor, refuseAll } from '../agent/index.ts'
import { agentProgram } from './agent-program.ts'
import { runProgram } from './run-program.ts'
import { takeServiceEnvironment } from './service-environment.ts'
import { keepYoungHeapSmall } from './small-young-heap.ts'

/** Where inetd puts the socket; and systemd, with StandardInput=socket. */
const STANDARD_INPUT = 0

/** @param argv as in `process.argv`. @returns the exit status, after everything is printed and told */
export const runAgent = (argv: readonly string[]): Promise<number> => {
  keepYoungHeapSmall()
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
  return runProgram(agentProgram(open), argv, argv[2] === 'inetd' ? tellClients : undefined)
}
