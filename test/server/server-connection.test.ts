import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { connectServer, type ServerConnection, STATEMENTS } from '../../lib/server/index.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'
import { quoteText } from '../rig/sql-text.ts'

let scratch: string
let server: ThrowawayServer

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'server-connection-'))
  server = await ThrowawayServer.start({ binaryLog: true, options: ['--log-output=TABLE'] })
})
afterAll(async () => {
  await server.discard()
  rmSync(scratch, { recursive: true })
})

const asked = async <Answer>(
  login: Partial<Parameters<typeof connectServer>[0]>,
  question: (connection: ServerConnection) => Promise<Answer>,
): Promise<Answer> => {
  const connection = await connectServer({ socket: server.socket, ...login })
  try {
    return await question(connection)
  } finally {
    await connection.close()
  }
}

let users = 0
const userWith = async (grants: readonly string[], password = 'p'): Promise<{ user: string; password: string }> => {
  const user = `u${users++}`
  await server.createBackupUser(user, password, grants)
  return { user, password }
}

test('tells which server it is, where its data and its binary logs are', async () => {
  const facts = await asked(await userWith([]), (connection) => connection.facts())

  expect(facts).toMatchObject({
    isMariaDb: true,
    dataDirectory: server.dataDirectory,
    logBin: true,
    binlogBasename: join(server.dataDirectory, 'binlog'),
    binlogFormat: 'MIXED',
    timeouts: { wait: 28_800, netRead: 30, netWrite: 60 },
  })
  expect(facts.versionText).toContain(facts.version)
  expect(facts.serverUuid).toContain(server.dataDirectory)
  expect(facts.lsn).toMatch(/^\d+$/)
})

test('lists the binary logs in their order', async () => {
  await server.query('FLUSH BINARY LOGS; FLUSH BINARY LOGS')

  const logs = await asked(await userWith(['BINLOG MONITOR']), (connection) => connection.binaryLogs())

  expect(logs.map(({ name }) => name)).toEqual(['binlog.000001', 'binlog.000002', 'binlog.000003'])
  expect(logs[0]?.sizeBytes).toBeGreaterThan(0)
})

test('a server that is no replica has no connections, and is no error', async () => {
  expect(await asked(await userWith(['SLAVE MONITOR']), (connection) => connection.replicaStatus())).toEqual([])
})

describe('a missing privilege is named with the statement that gives it', () => {
  test.each<[string, readonly string[], (connection: ServerConnection) => Promise<unknown>, string]>([
    ['binary logs', ['RELOAD'], (connection) => connection.binaryLogs(), 'BINLOG MONITOR'],
    ['replica status', ['RELOAD'], (connection) => connection.replicaStatus(), 'SLAVE MONITOR'],
    ['replica start', ['SLAVE MONITOR'], (connection) => connection.startReplica([]), 'REPLICATION SLAVE ADMIN'],
    ['timeouts', ['RELOAD'], (connection) => connection.setGlobalTimeout('wait_timeout', 9), 'SUPER'],
    ['a full backup', ['RELOAD'], (connection) => connection.requireGrants('full', ''), 'PROCESS, BINLOG MONITOR'],
  ])('for %s; with it the question is answered', async (_, grants, question, missing) => {
    const login = await userWith(grants)
    const statement = `GRANT ${missing} ON *.* TO '${login.user}'@'localhost'`

    await expect(asked(login, question)).rejects.toMatchObject({
      code: 'ENGINE_PRIVILEGE',
      hint: expect.stringContaining(statement),
    })
    await server.query(statement)
    await asked(login, question).catch((error: unknown) => {
      // One that is no replica cannot be started; but it may be tried.
      expect(error).toMatchObject({ code: 'SERVER_QUERY', message: expect.stringContaining('START SLAVE') })
    })
  })

  test('unless a role that is in force gives it', async () => {
    const login = await userWith([])
    await server.query(
      `CREATE ROLE backup_role; GRANT RELOAD, PROCESS, BINLOG MONITOR ON *.* TO backup_role;
       GRANT backup_role TO ${login.user}@localhost; SET DEFAULT ROLE backup_role FOR ${login.user}@localhost`,
    )

    expect(await asked(login, (connection) => connection.missingGrants('full'))).toBeUndefined()
  })
})

describe('a login', () => {
  test.each(['', 'a "b" \\ #c', "it's; %s", 'pässwört\u{1f511}', 'x'.repeat(200)])(
    'with the password %j is taken from the operator’s option file',
    async (password) => {
      const { user } = await userWith([], password)
      const defaultsFile = join(scratch, 'login.cnf')
      writeFileSync(
        defaultsFile,
        `[client]\nuser=${user}\npassword="${password.replace(/[\\"]/g, '\\$&')}"\nsocket=${server.socket}\n`,
        { mode: 0o600 },
      )

      const connection = await connectServer({ defaultsFile })
      await connection.close()
    },
  )

  test('by unix_socket needs no password', async () => {
    const us = quoteText(userInfo().username)
    await server.query(
      `CREATE USER IF NOT EXISTS ${us}@localhost; ALTER USER ${us}@localhost IDENTIFIED VIA unix_socket`,
    )

    const facts = await asked({}, (connection) => connection.facts())

    expect(facts.dataDirectory).toBe(server.dataDirectory)
  })

  test('that is refused is named, and the password is nowhere in what is thrown', async () => {
    const failure = await asked({ user: 'nobody', password: 'S3cret-canary' }, (c) => c.facts()).catch(
      (e: unknown) => e,
    )

    expect(failure).toMatchObject({ code: 'ENGINE_LOGIN', message: expect.stringContaining('nobody') })
    const { message, facts, hint, cause, stack } = failure as Record<string, unknown>
    expect(JSON.stringify([message, facts, hint, String(cause), stack])).not.toContain('S3cret-canary')
  })
})

describe('a server that does not answer', () => {
  test('because there is none', async () => {
    await expect(connectServer({ socket: join(scratch, 'nowhere.sock') })).rejects.toMatchObject({
      code: 'SERVER_UNREACHABLE',
      message: expect.stringContaining('ENOENT'),
    })
  })

  test('because it only takes the connection, is given up', async () => {
    const silent = createServer(() => undefined).listen(join(scratch, 'silent.sock'))
    await new Promise((resolve) => silent.once('listening', resolve))
    chmodSync(join(scratch, 'silent.sock'), 0o777)

    const waiting = connectServer({ socket: join(scratch, 'silent.sock') }, { connectMs: 50 })

    await expect(waiting).rejects.toMatchObject({ code: 'SERVER_TIMEOUT' })
    silent.close()
  })

  test('in the middle of a question is given up too', async () => {
    const connection = await connectServer({ socket: server.socket, user: 'root' }, { queryMs: 300 })
    process.kill(server.pid, 'SIGSTOP')
    try {
      await expect(connection.facts()).rejects.toMatchObject({ code: 'SERVER_TIMEOUT' })
    } finally {
      process.kill(server.pid, 'SIGCONT')
      await connection.close()
    }
  })
})

test('the server sees the statements of the table, and not one more', async () => {
  const login = await userWith(['RELOAD', 'BINLOG MONITOR', 'SLAVE MONITOR', 'REPLICATION SLAVE ADMIN', 'SUPER'])
  await server.query('SET GLOBAL general_log = ON')

  await asked(login, async (connection) => {
    await connection.facts()
    await connection.requireGrants('binary-logs', '')
    await connection.binaryLogs()
    await connection.replicaStatus()
    await connection.startReplica([]).catch(() => undefined)
    await connection.setGlobalTimeout('net_read_timeout', 31)
    await connection.setGlobalTimeout('net_read_timeout', 30)
  })

  await server.query('SET GLOBAL general_log = OFF')
  const seen = (
    await server.query(
      `SELECT command_type, CONVERT(argument USING utf8mb4) FROM mysql.general_log WHERE user_host LIKE '%${login.user}%'`,
    )
  ).map(([type, argument]) => `${type}: ${argument?.replace(/\d+$/, '?')}`)
  const allowed = Object.values(STATEMENTS).map(({ sql }) => `Query: ${sql}`)
  expect(seen.filter((line) => line.startsWith('Query')).length).toBeGreaterThanOrEqual(8)
  expect(seen.filter((line) => !/^(Connect|Quit): /.test(line) && !allowed.includes(line))).toEqual([])
})
