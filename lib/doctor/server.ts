/**
 * Does the server let us in, and may that account make backups?
 *
 * Without a login of the operator's there is only the system's user to try: it may tell
 * about the server, and nothing about the accounts that clients will send.
 */

import { findLockableTable } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { connectServer, type ServerConnection, type ServerFacts, type ServerLogin } from '../server/index.ts'
import { type Finding, fail, failedWith, ok, warn } from './finding.ts'

export interface ServerLook {
  readonly findings: readonly Finding[]
  readonly facts: ServerFacts | undefined
  /** Bytes of redo log written a second; undefined where the server does not say. */
  readonly writtenPerSecond: number | undefined
}

const NOTHING = { facts: undefined, writtenPerSecond: undefined } as const

/**
 * @param sample waits a while between two looks at the redo log; resolves with the seconds that have passed
 * @param isHostLogin the agent itself logs in as the user of its process: that login is the one to try
 */
export const lookAtServer = async (
  login: ServerLogin,
  sample: () => Promise<number>,
  isHostLogin = false,
): Promise<ServerLook> => {
  const isOwn = !isHostLogin && login.user === undefined && login.defaultsFile === undefined
  let server: ServerConnection
  try {
    server = await connectServer(login)
  } catch (error) {
    return { ...NOTHING, findings: [isOwn ? withoutLogin(error) : failedWith('login', error)] }
  }
  try {
    const facts = await server.facts()
    const findings = isOwn
      ? [warn('login', 'none to try: clients bring theirs; asked as the user of this process', HOW_TO_LOGIN)]
      : [ok('login', (await server.grants()).account), await checkGrants(server, facts)]
    return { findings, facts, writtenPerSecond: await redoRate(login, facts, sample) }
  } catch (error) {
    return { ...NOTHING, findings: [failedWith('login', error)] }
  } finally {
    await server.close()
  }
}

const HOW_TO_LOGIN = 'try one: --user U --password-file F, or --defaults-file'

/** That nobody answers is bad; that we are not let in without a login is no surprise. */
const withoutLogin = (error: unknown): Finding => {
  if (error instanceof BackupError && error.code === 'ENGINE_LOGIN') {
    return warn(
      'login',
      'none to try: clients bring theirs; versions, grants and redo log were not looked at',
      HOW_TO_LOGIN,
    )
  }
  return failedWith('login', error)
}

const checkGrants = async (server: ServerConnection, { dataDirectory }: ServerFacts): Promise<Finding> => {
  const table = await findLockableTable(dataDirectory)
  const unseen = table === undefined ? undefined : await server.missingGrants('tables-in-use')
  const missing = (await server.missingGrants('full')) ?? unseen
  if (missing === undefined) return ok('grants', 'what a full backup needs')
  return fail(
    'grants',
    `${missing.account} lacks ${missing.privileges.join(', ')}${missing === unseen ? `: it could not be seen whether ${table} is in use` : ''}`,
    `run on the server, as an administrator: ${missing.statement};`,
    { privileges: missing.privileges },
  )
}

/** Facts are those of one moment: the second look is another connection. */
const redoRate = async (
  login: ServerLogin,
  { lsn }: ServerFacts,
  sample: () => Promise<number>,
): Promise<number | undefined> => {
  if (lsn === undefined) return undefined
  const seconds = await sample()
  const again = await connectServer(login)
  try {
    const later = (await again.facts()).lsn
    return later === undefined || seconds <= 0 ? undefined : Number(BigInt(later) - BigInt(lsn)) / seconds
  } finally {
    await again.close()
  }
}
