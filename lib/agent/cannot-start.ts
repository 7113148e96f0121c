/**
 * What a client is told when there is an agent, and it cannot be one: the failure, in the words of the log.
 *
 * A client of 0.76 that is simply hung up on learns nothing, and inetd starts the next process into
 * the same failure. Where roles decide who may hear of which server, nobody has shown one yet: then
 * the words stay in the log.
 */

import { BackupError } from '../errors/index.ts'

/** A bug stays one. @param hasRoles whether the agent would have asked the client for a role */
export const cannotStart = (error: unknown, hasRoles = false): unknown => {
  if (!(error instanceof BackupError)) return error
  if (hasRoles) return new BackupError(error.code, 'the agent cannot start: its log says why', {}, { cause: error })
  const { code, message, hint, facts } = error
  return new BackupError(
    code,
    `the agent cannot start: ${message}`,
    facts,
    hint === undefined ? { cause: error } : { cause: error, hint },
  )
}
