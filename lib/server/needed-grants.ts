/**
 * Which privileges the agent and its backup programs need for what, by the version of the server.
 *
 * | for             | MariaDB 10.5 and later      | older MariaDB      | MySQL 8                |
 * |-----------------|-----------------------------|--------------------|------------------------|
 * | `full`          | RELOAD, PROCESS             | the same           | and BACKUP_ADMIN, LOCK TABLES |
 * | … binary log on | BINLOG MONITOR              | REPLICATION CLIENT | REPLICATION CLIENT     |
 * | `tables-in-use` | SELECT                      | nothing            | nothing                |
 * | `binary-logs`   | BINLOG MONITOR              | REPLICATION CLIENT | REPLICATION CLIENT     |
 * | `replica-status`| SLAVE MONITOR               | REPLICATION CLIENT | REPLICATION CLIENT     |
 * | `replica-start` | REPLICATION SLAVE ADMIN     | SUPER              | REPLICATION_SLAVE_ADMIN|
 * | `timeouts`      | SUPER                       | SUPER              | SYSTEM_VARIABLES_ADMIN |
 *
 * The first row is what mariadb-backup asks for, measured on 10.11; MySQL's is from Percona's
 * manual. Pure. Source of the others: what the servers answer to those who may not.
 */

import { BackupError } from '../errors/index.ts'
import type { Grants } from './grants.ts'
import { isAtLeast } from './server-version.ts'
import type { ServerVersion } from './types.ts'

export type Purpose = 'full' | 'tables-in-use' | 'binary-logs' | 'replica-status' | 'replica-start' | 'timeouts'

/** One of them is enough; the first is the one to give. */
type Need = readonly string[]

/** The statement that lets an account do what it may not yet. */
export interface MissingGrants {
  readonly account: string
  readonly privileges: readonly string[]
  readonly statement: string
}

/** @returns undefined when nothing is missing, or nobody can tell because of roles */
export const missingGrants = (
  grants: Grants,
  purpose: Purpose,
  server: { readonly version: ServerVersion; readonly logBin: boolean },
): MissingGrants | undefined => {
  const { account, privileges, mayBeMore } = grants
  if (mayBeMore || privileges.has('ALL PRIVILEGES')) return undefined
  const missing = needsOf(purpose, server)
    .filter((need) => !need.some((name) => privileges.has(name)))
    .map(([first]) => first as string)
  if (missing.length === 0) return undefined
  return { account, privileges: missing, statement: `GRANT ${missing.join(', ')} ON *.* TO ${account}` }
}

/** As the engines say it of their programs' own complaints. */
export const privilegeError = ({ account, privileges, statement }: MissingGrants, purpose: string): BackupError =>
  new BackupError(
    'ENGINE_PRIVILEGE',
    `the database user ${account} lacks ${privileges.join(', ')}, needed ${purpose}`,
    { account, privileges },
    { hint: `run on the server, as an administrator: ${statement}` },
  )

const needsOf = (
  purpose: Purpose,
  { version, logBin }: { readonly version: ServerVersion; readonly logBin: boolean },
): readonly Need[] => {
  const { isMariaDb } = version
  const isSplit = isMariaDb && isAtLeast(version, 10, 5, 2) // into many small privileges: MDEV-21743
  const binaryLogs: Need = [isSplit ? 'BINLOG MONITOR' : 'REPLICATION CLIENT', 'SUPER']
  switch (purpose) {
    case 'full':
      return [
        ['RELOAD'],
        ['PROCESS'],
        ...(isMariaDb ? [] : [['BACKUP_ADMIN'], ['LOCK TABLES']]),
        ...(logBin ? [binaryLogs] : []),
      ]
    case 'tables-in-use':
      // MySQL's programs, and MariaDB's before there were backup stages, lock all tables before they copy the first of these.
      return isMariaDb && isAtLeast(version, 10, 5, 0) ? [['SELECT']] : []
    case 'binary-logs':
      return [binaryLogs]
    case 'replica-status':
      if (!isSplit) return [['REPLICATION CLIENT', 'SUPER']]
      // SLAVE MONITOR came with 10.5.9: MDEV-23610.
      return [[isAtLeast(version, 10, 5, 9) ? 'SLAVE MONITOR' : 'REPLICATION SLAVE ADMIN', 'SUPER']]
    case 'replica-start':
      if (isMariaDb) return [isSplit ? ['REPLICATION SLAVE ADMIN', 'SUPER'] : ['SUPER']]
      return [['REPLICATION_SLAVE_ADMIN', 'SUPER']]
    case 'timeouts':
      return [isMariaDb ? ['SUPER'] : ['SYSTEM_VARIABLES_ADMIN', 'SUPER']]
  }
}
