import { describe, expect, test } from '@jest/globals'

import { readGrants } from '../../lib/server/grants.ts'
import { missingGrants, type Purpose } from '../../lib/server/needed-grants.ts'
import { parseServerVersion } from '../../lib/server/server-version.ts'

const HASH = "IDENTIFIED BY PASSWORD '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19'"

const statementFor = (version: string, purpose: Purpose, granted: string, logBin = true): string | undefined =>
  missingGrants(readGrants([`GRANT ${granted} ON *.* TO \`b\`@\`localhost\` ${HASH}`], 'b@localhost'), purpose, {
    version: parseServerVersion(version),
    logBin,
  })?.statement

describe('names what is missing by the statement that gives it', () => {
  test.each<[version: string, purpose: Purpose, granted: string, missing: string | undefined]>([
    ['10.11.19-MariaDB', 'full', 'USAGE', 'RELOAD, PROCESS, BINLOG MONITOR'],
    ['10.11.19-MariaDB', 'full', 'PROCESS, BINLOG MONITOR', 'RELOAD'],
    ['10.11.19-MariaDB', 'full', 'RELOAD, PROCESS, SUPER', undefined],
    ['10.11.19-MariaDB', 'full', 'ALL PRIVILEGES', undefined],
    ['10.4.34-MariaDB', 'full', 'RELOAD, PROCESS', 'REPLICATION CLIENT'],
    ['8.0.36-28', 'full', 'RELOAD, PROCESS', 'BACKUP_ADMIN, LOCK TABLES, REPLICATION CLIENT'],
    ['10.11.19-MariaDB', 'tables-in-use', 'RELOAD, PROCESS, BINLOG MONITOR', 'SELECT'],
    ['10.11.19-MariaDB', 'tables-in-use', 'SELECT', undefined],
    ['10.4.34-MariaDB', 'tables-in-use', 'RELOAD', undefined],
    ['8.0.36-28', 'tables-in-use', 'RELOAD', undefined],
    ['10.11.19-MariaDB', 'binary-logs', 'USAGE', 'BINLOG MONITOR'],
    ['10.11.19-MariaDB', 'replica-status', 'BINLOG MONITOR', 'SLAVE MONITOR'],
    ['10.5.8-MariaDB', 'replica-status', 'BINLOG MONITOR', 'REPLICATION SLAVE ADMIN'],
    ['10.4.34-MariaDB', 'replica-status', 'REPLICATION CLIENT', undefined],
    ['10.11.19-MariaDB', 'replica-start', 'SLAVE MONITOR', 'REPLICATION SLAVE ADMIN'],
    ['10.4.34-MariaDB', 'replica-start', 'REPLICATION CLIENT', 'SUPER'],
    ['8.4.2', 'replica-start', 'USAGE', 'REPLICATION_SLAVE_ADMIN'],
    ['10.11.19-MariaDB', 'timeouts', 'RELOAD', 'SUPER'],
    ['8.4.2', 'timeouts', 'RELOAD', 'SYSTEM_VARIABLES_ADMIN'],
  ])('%s, %s, with %s: %s', (version, purpose, granted, missing) => {
    expect(statementFor(version, purpose, granted)).toBe(
      missing === undefined ? undefined : `GRANT ${missing} ON *.* TO 'b'@'localhost'`,
    )
  })

  test('asks for nothing about binary logs where there are none', () => {
    expect(statementFor('10.11.19-MariaDB', 'full', 'RELOAD, PROCESS', false)).toBeUndefined()
  })
})

test('takes privileges on one database for none', () => {
  const { privileges } = readGrants(['GRANT ALL PRIVILEGES ON `shop`.* TO `b`@`localhost`'], 'b@localhost')

  expect([...privileges]).toEqual([])
})

test('cannot tell where MySQL shows a role without what it gives', () => {
  const lines = ['GRANT USAGE ON *.* TO `b`@`localhost`', 'GRANT `backup_role`@`%` TO `b`@`localhost`']
  const server = { version: parseServerVersion('8.0.36'), logBin: true }

  expect(missingGrants(readGrants(lines, 'b@localhost'), 'full', server)).toBeUndefined()
})

test('writes an account with odd characters so that the statement can be run', () => {
  const { account } = readGrants([], "o'brien@home@%")

  expect(account).toBe("'o''brien@home'@'%'")
})
