/**
 * What a client is told when there is an agent, and it cannot be one: the failure, in the words of the log.
 *
 * A client of 0.76 that is simply hung up on learns nothing, and inetd starts the next process into
 * the same failure.
 */

import { BackupError } from '../errors/index.ts'

/** A bug stays one. */
export const cannotStart = (error: unknown): unknown => {
  if (!(error instanceof BackupError)) return error
  const { code, message, hint, facts } = error
  return new BackupError(
    code,
    `the agent cannot start: ${message}`,
    facts,
    hint === undefined ? { cause: error } : { cause: error, hint },
  )
}
