/**
 * What a client is told when the database refuses its login: one sentence, whatever the reason.
 *
 *     unknown user, wrong password, locked account, …  ─▶  Access denied for user 'U'@'localhost' (using password: YES)
 *
 * The server's own words tell some of these apart ("this account is locked", a way to log in that is not
 * known here), and whoever tries out names would learn which of them are there. The words go to the
 * log. Likewise nobody is told whose login failed when it is the host's own. Pure.
 */

import { BackupError } from '../errors/index.ts'

export interface TriedLogin {
  readonly user?: string | undefined
  readonly password?: string | undefined
  /** It is the host's own. */
  readonly isHostLogin?: boolean
}

const HINT = 'check user and password on the database host, and that the account may connect from localhost'

/** Anything but a refused login comes back as it was. */
export const uniformRefusal = (error: unknown, { user, password, isHostLogin }: TriedLogin): unknown => {
  if (!(error instanceof BackupError) || !isAboutLogin(error)) return error
  const told = isHostLogin
    ? 'the database refused the login of the agent itself'
    : `the database refused the login: Access denied for user '${user}'@'localhost' (using password: ${password ? 'YES' : 'NO'})`
  const hint = isHostLogin ? 'the log of the agent says more' : HINT
  return new BackupError('ENGINE_LOGIN', told, { ...error.facts, said: error.message }, { cause: error, hint })
}

/** Also that an account logs in by a plugin which is not known here is only said of accounts that there are. */
const isAboutLogin = ({ code, facts, cause }: BackupError): boolean =>
  code === 'ENGINE_LOGIN' || facts['isLogin'] === true || (cause instanceof BackupError && isAboutLogin(cause))
