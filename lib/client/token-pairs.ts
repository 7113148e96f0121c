/**
 * The token beside a request: sent only where it stays between client and agent.
 *
 *     encrypted, or to this machine      sent
 *     in clear to another machine        refused, unless the caller says that it may be
 *
 * Whoever reads a token may use it until it is revoked, and nobody notices; so a connection that was meant
 * to be encrypted, and is not, must not cost one. A mistyped token is found here, before anybody is asked.
 */

import { BackupError } from '../errors/index.ts'
import { AGENT_TOKEN_KEY, tokenProblem } from '../protocol/index.ts'
import type { AgentLink } from './request-link.ts'

export interface TokenOptions {
  /** By which the agent knows that we may ask, as `backup-agent token add` printed it. */
  readonly token?: string | undefined
  /** Send it also where others could read it on its way. */
  readonly tokenInClear?: boolean | undefined
}

/** Before anything is opened. @throws BackupError `CLIENT_TOKEN` */
export const checkToken = ({ token }: TokenOptions): void => {
  const problem = token === undefined ? undefined : tokenProblem(token)
  if (problem === undefined) return
  throw new BackupError(
    'CLIENT_TOKEN',
    `the token for the agent cannot be one: ${problem}`,
    {},
    { hint: 'take the whole line that backup-agent token add printed' },
  )
}

/** @throws BackupError `CLIENT_TOKEN_CLEAR` */
export const tokenPairs = (
  link: Pick<AgentLink, 'where' | 'isReadableOnTheWay'>,
  { token, tokenInClear = false }: TokenOptions,
): readonly (readonly [string, string])[] => {
  if (token === undefined) return []
  if (!link.isReadableOnTheWay || tokenInClear) return [[AGENT_TOKEN_KEY, token]]
  throw new BackupError(
    'CLIENT_TOKEN_CLEAR',
    `the connection to ${link.where} is not encrypted, and the token was not sent`,
    {},
    {
      hint: 'use TLS or a tunnel (ssh -L, stunnel); --token-in-clear sends it all the same, for whoever listens to keep',
    },
  )
}
