/**
 * Tells the service manager something, by systemd's own program: Node sends no datagrams to a local socket.
 *
 *     systemd-notify READY=1 STATUS=listening        NOTIFY_SOCKET=/run/systemd/notify
 *
 * It comes from a child of the service's main process, so a unit needs NotifyAccess=all unless
 * the agent is root. The program waits until the manager has read it, so that the manager still
 * sees whose child it is. Source: systemd-notify(1), sd_notify(3).
 */

import { probe } from './child-probe.ts'
import { cleanEnvironment, DEFAULT_SEARCH_PATH } from './clean-environment.ts'
import { findHostProgram } from './host-guards.ts'

/**
 * Never rejects.
 *
 * @param socket the value of NOTIFY_SOCKET
 * @param assignments `READY=1` and the like, in one message
 * @returns why it could not be told; undefined when it was
 */
export const notifyServiceManager = async (
  socket: string,
  assignments: readonly string[],
): Promise<string | undefined> => {
  const program = findHostProgram('systemd-notify')
  if (program === undefined) return 'systemd-notify (package systemd) is missing'
  const environment = { ...cleanEnvironment(DEFAULT_SEARCH_PATH, undefined), NOTIFY_SOCKET: socket }
  const { exitCode, text, problem } = await probe(program, assignments, environment)
  return exitCode === 0 ? undefined : (problem ?? text.trim())
}
