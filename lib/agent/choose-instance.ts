/**
 * Which of the configured servers a request means. A client may pick one; it can never define one.
 *
 *     instance=NAME            that one, or refused
 *     the socket it names      the one with exactly this socket, or refused
 *     the option file, else    the one with exactly this file, or refused
 *     none of them             the server without a name, or refused
 *
 * Deployed clients send a socket and an option file whether they mean anything by it or not. Where only one
 * server is configured they have always been ignored, and still are: there is no other that could be sent.
 * Where there are several, a path that belongs to none of them is refused: the server that the client means
 * is not here, and the backup of another one under its name is worse than none.
 *
 * Pure. Rules: PROTOCOL.md, "Which server".
 */

import { BackupError } from '../errors/index.ts'
import { type AgentRequest, type CopyRequest, type KvBlock, showWire } from '../protocol/index.ts'
import { allOf, type Instance, type Instances } from './instance.ts'

export const SOCKET_KEY = 'xtrabackup-agent:socket'
export const OPTION_FILE_KEY = 'xtrabackup-agent:my.cnf-path'

/** Only these mean a server; the others of a run are answered without one. */
export const meansServer = (request: AgentRequest): request is CopyRequest =>
  request.action === 'copy from' && (request.startsBackup || request.level === 'incremental')

/** @throws BackupError `AGENT_INSTANCE` */
export const chooseInstance = (pairs: KvBlock, instances: Instances): Instance => {
  const { main, named } = instances
  const name = pairs.get('instance') || undefined
  const socket = pairs.get(SOCKET_KEY) || undefined
  const optionFile = pairs.get(OPTION_FILE_KEY) || undefined
  if (name !== undefined) return byName(name, socket, instances)
  if (named.size === 0 && main !== undefined) return main
  const path = socket ?? optionFile
  if (path === undefined) {
    if (main !== undefined) return main
    throw refusal('the request does not say which server it means, and this agent has several', instances)
  }
  const found = answering(path, socket === undefined ? 'defaultsFile' : 'socket', instances)
  const [only] = found
  const key = socket === undefined ? OPTION_FILE_KEY : SOCKET_KEY
  if (only === undefined)
    throw refusal(`${key} names ${showWire(path)}, which belongs to no configured server`, instances)
  if (found.length > 1) throw refusal(`${key} names ${showWire(path)}, which belongs to several servers`, instances)
  return only
}

const byName = (name: string, socket: string | undefined, instances: Instances): Instance => {
  const chosen = instances.named.get(name)
  if (chosen === undefined) throw refusal(`there is no instance ${showWire(name)}`, instances)
  const others = socket === undefined ? [] : answering(socket, 'socket', instances)
  if (others.length > 0 && !others.includes(chosen)) {
    throw refusal(`the request names the instance ${name}, and by ${SOCKET_KEY} another server`, instances)
  }
  return chosen
}

const answering = (path: string, key: 'socket' | 'defaultsFile', instances: Instances): Instance[] =>
  allOf(instances).filter(({ settings }) => settings[key] === path || settings.knownAs?.includes(path))

/** Names are told, paths are not: whoever asks from outside has no need of them. */
const refusal = (problem: string, { main, named }: Instances): BackupError => {
  const names = [...named.keys()]
  const there = names.length === 0 ? 'no instances are configured' : `configured: ${names.join(', ')}`
  const unnamed = main === undefined ? '' : '; without any of them it is the server that has no name'
  const how =
    "a server is added as [instance.NAME], and a path of clients to its known-as, in the agent's configuration"
  return new BackupError(
    'AGENT_INSTANCE',
    problem,
    { instances: names },
    { hint: `choose with instance=NAME (${there}${unnamed}); ${how}` },
  )
}
