/**
 * Says at the start, and with each new configuration, who may ask: in the log, before the first client is refused.
 *
 * Decides nothing. A file of tokens that cannot be used keeps no agent from starting: it may be mended
 * while the agent runs, and is read anew for every request.
 */

import { BackupError } from '../errors/index.ts'
import type { Logger } from '../log/index.ts'
import { readTokens } from '../tokens/index.ts'
import type { Access } from './access.ts'

/** @param tokensFile also where there are no roles: then it means nothing, which its writer may not know */
export const sayAccess = async (
  access: Access | undefined,
  tokensFile: string | undefined,
  log: Logger,
): Promise<void> => {
  try {
    const tokens = tokensFile === undefined ? undefined : await readTokens(tokensFile)
    if (access !== undefined) {
      log.info(
        { roles: [...access.roles.keys()], tokens: tokens?.entries.length ?? 0 },
        'only clients with a role are served',
      )
    } else if (tokens !== undefined) {
      log.warn({ tokensFile }, 'there are tokens and no role: everybody may ask, with a token or without')
    }
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    const { code, message, hint } = error
    if (access !== undefined) log.error({ code, hint }, `no client is served: ${message}`)
    else log.warn({ code, hint }, `it means nothing while there are no roles, but ${message}`)
  }
}
