import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

import { AgentProcess } from '../rig/agent-process.ts'
import { type AnswerTo076, askAs076, requestOf076, unpack } from '../rig/deployed-client.ts'
import { freePort } from '../rig/free-port.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'
import { rawClient } from '../rig/raw-client.ts'
import { mustRun } from '../rig/run-program.ts'

let scratch: string
let primary: ThrowawayServer
let replica: ThrowawayServer
let agent: AgentProcess
const FAILING_PROGRAM = `#!/bin/sh
case " $* " in
  *' --version '*) echo 'mariadb-backup based on MariaDB server 10.11.19-MariaDB stand-in (x86_64)'; exit 0 ;;
  *' --help '*) exit 0 ;;
esac
exit 1
`
/** Begins to send, and goes on for as long as it likes. */
const QUIET_PROGRAM = FAILING_PROGRAM.replace('exit 1', "printf 'XBSTCK01'\nexec sleep 600")
const STARTED = 'replica started, as the client asked with replication=1'
const LOGIN = { user: 'backup', password: 'p' }

/** The source must be reachable by TCP, on the loopback alone. A row that comes twice would stop the replica. */
const replicateFrom = async (server: ThrowawayServer, file: string, position: string): Promise<void> => {
  await server.query(
    `CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=${await primary.queryValue('SELECT @@port')},
       MASTER_USER='repl', MASTER_PASSWORD='r', MASTER_LOG_FILE='${file}', MASTER_LOG_POS=${position}, MASTER_USE_GTID=no;
     START SLAVE;`,
  )
}

const sourcePosition = async (): Promise<{ file: string; position: string }> => {
  const [file = '', position = ''] = (await primary.query('SHOW MASTER STATUS'))[0] ?? []
  return { file, position }
}

const rowsOf = async (server: ThrowawayServer): Promise<string[]> =>
  (await server.query('SELECT n FROM shop.t ORDER BY n')).flat()

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'agent-replica-'))
  primary = await ThrowawayServer.start({
    binaryLog: true,
    options: ['--skip-networking=0', '--bind-address=127.0.0.1', `--port=${await freePort()}`, '--server-id=1'],
  })
  replica = await ThrowawayServer.start({ binaryLog: true, options: ['--server-id=2', '--log-slave-updates'] })
  await primary.query("CREATE USER repl@'%' IDENTIFIED BY 'r'; GRANT REPLICATION SLAVE ON *.* TO repl@'%'")
  await replica.createBackupUser(LOGIN.user, LOGIN.password, [
    'RELOAD',
    'PROCESS',
    'BINLOG MONITOR',
    'SLAVE MONITOR',
    'REPLICATION SLAVE ADMIN',
  ])
  const { file, position } = await sourcePosition()
  await replicateFrom(replica, file, position)
  await primary.query('CREATE DATABASE shop; CREATE TABLE shop.t (n INT PRIMARY KEY) ENGINE=InnoDB')
  agent = await AgentProcess.start(['--engine', 'mariadb-backup', '--socket', replica.socket, '--spool-dir', scratch])
})
afterAll(async () => {
  await agent.stop()
  await replica.discard()
  await primary.discard()
  rmSync(scratch, { recursive: true })
})

const isRunning = async (): Promise<boolean> =>
  (await replica.query('SHOW ALL SLAVES STATUS')).every((row) => row[12] === 'Yes' && row[13] === 'Yes')

/** Until the replica has all that the primary has: by its own function, which waits. */
const caughtUp = async (server = replica): Promise<void> => {
  const { file, position } = await sourcePosition()
  expect(Number(await server.queryValue(`SELECT MASTER_POS_WAIT('${file}', ${position}, 60)`))).toBeGreaterThanOrEqual(
    0,
  )
}

let rows = 0
/** What a run does before it asks: the replica stops at coordinates, while its source goes on. */
const stopped = async (): Promise<{ file: string; position: string }> => {
  await primary.query(`INSERT INTO shop.t VALUES (${rows++})`)
  await replica.query('START SLAVE')
  await caughtUp()
  await replica.query('STOP SLAVE; FLUSH BINARY LOGS')
  const coordinates = await sourcePosition()
  await primary.query(`INSERT INTO shop.t VALUES (${rows++})`)
  return coordinates
}

const ask = (level: '0' | '1', pairs: Readonly<Record<string, string>> = {}): Promise<AnswerTo076> =>
  askAs076(agent.port, { ...LOGIN, 'backup-level': level, replication: '1', ...pairs })

describe('an incremental backup of a replica that its run has stopped', () => {
  test('carries the columns of SHOW SLAVE STATUS beside SENDING, and starts the replica again', async () => {
    const { file, position } = await stopped()

    const { block } = await ask('1')

    expect([...block.keys()].slice(0, 3)).toEqual(['status', 'msg', 'sid'])
    expect(Object.fromEntries(block)).toMatchObject({
      status: 'SENDING',
      Relay_Master_Log_File: file,
      Exec_Master_Log_Pos: position,
      Slave_IO_Running: 'No',
      Slave_SQL_Running: 'No',
      Master_Host: '127.0.0.1',
    })
    expect(agent.logs.map(({ msg }) => msg)).toContain(STARTED)
    await caughtUp()
    expect(await isRunning()).toBe(true)
  })

  test('sends every column that the server has', async () => {
    await stopped()
    const { block } = await ask('1')

    const columns = [...block.keys()].slice(3)
    const shown = await replica.query('SHOW ALL SLAVES STATUS')
    expect(columns).toHaveLength(shown[0]?.length ?? 0)
  })

  test('sends none of what the replica writes when it runs again', async () => {
    await stopped()
    const before = (await replica.query('SHOW BINARY LOGS')).map(([name]) => name)

    const { archive } = await ask('1')

    expect(unpack(archive, join(scratch, 'logs'))).toEqual(before.slice(0, -1))
  })

  test.each<[string, Readonly<Record<string, string>>, string | undefined]>([
    ['when nothing is closed', {}, 'OK'],
    ['when the wanted log is gone', { binlog: 'binlog.000000' }, 'FAILED'],
    ['when a directory is refused', { 'mysql-binlog-path': '/etc' }, 'FAILED'],
  ])('starts the replica also %s', async (_, pairs, status) => {
    await stopped()
    const active = (await replica.query('SHOW BINARY LOGS')).at(-1)?.[0] ?? ''

    const { block } = await ask('1', { binlog: status === 'OK' ? active : '', ...pairs })

    expect(block.get('status')).toBe(status)
    await caughtUp()
    expect(await isRunning()).toBe(true)
  })
})

describe('a full backup of a replica that its run has stopped', () => {
  test('is of the coordinates at which it stopped: from there on it becomes what the source is', async () => {
    const { file, position } = await stopped()
    const copied = await rowsOf(replica)

    const { block, archive, ended } = await ask('0')

    expect([block.get('status'), ended]).toEqual(['SENDING', 'fin'])
    expect([...block.keys()]).toEqual(['status', 'msg', 'sid'])
    await caughtUp() // the replica runs again
    expect(await isRunning()).toBe(true)
    const said = agent.logs.map(({ msg }) => msg)
    expect(said.lastIndexOf('engine stage')).toBeLessThan(said.lastIndexOf(STARTED))

    const data = join(scratch, 'full')
    unpack(archive, data)
    await mustRun('mariadb-backup', ['--no-defaults', '--prepare', `--target-dir=${data}`])
    const restored = await ThrowawayServer.startOn(data, { binaryLog: true, options: ['--server-id=3'] })
    try {
      expect(await rowsOf(restored)).toEqual(copied)
      expect(await rowsOf(primary)).not.toEqual(copied)
      await replicateFrom(restored, file, position)
      await caughtUp(restored)
      expect(await rowsOf(restored)).toEqual(await rowsOf(primary))
    } finally {
      await restored.discard()
    }
  })

  test('starts it also when the backup program fails', async () => {
    await stopped()
    const bin = join(scratch, 'bin')
    mkdirSync(bin)
    writeFileSync(join(bin, 'mariadb-backup'), FAILING_PROGRAM, { mode: 0o755 })
    const failing = await AgentProcess.start(['--engine', 'mariadb-backup', '--socket', replica.socket], {
      environment: { PATH: `${bin}:/usr/bin:/bin` },
    })

    const { block } = await askAs076(failing.port, { ...LOGIN, replication: '1' })
    await failing.stop()

    expect(block.get('status')).toBe('FAILED')
    await caughtUp()
    expect(await isRunning()).toBe(true)
  })
})

test('is left to the backup that runs when another agent refuses a second one as busy', async () => {
  await stopped()
  const bin = join(scratch, 'holding')
  mkdirSync(bin)
  writeFileSync(join(bin, 'mariadb-backup'), QUIET_PROGRAM.replace('exec', "echo 'holds the lock' >&2; exec"), {
    mode: 0o755,
  })
  const options = [
    '--engine',
    'mariadb-backup',
    '--socket',
    replica.socket,
    '--state-dir',
    join(scratch, 'shared'),
    '--log-level',
    'debug',
  ]
  const environment = { PATH: `${bin}:/usr/bin:/bin` }
  const [first, second] = [
    await AgentProcess.start(options, { environment }),
    await AgentProcess.start(options, { environment }),
  ]
  const client = await rawClient(first.port)
  client.socket.write(requestOf076({ ...LOGIN, replication: '1' }))
  await first.logged(({ msg }) => msg === 'engine said') // so it has the lock

  for (const pairs of [{}, { 'mysql-wait-timeout': '100', 'must-set-mysql-timeouts': '1' }, { 'backup-level': '1' }]) {
    const { ready, block } = await askAs076(second.port, { ...LOGIN, replication: '1', sid: 'second', ...pairs })
    expect([ready, block.get('status')]).toEqual('backup-level' in pairs ? [true, 'SENDING'] : [false, 'FAILED'])
    expect(await isRunning()).toBe(false)
  }
  await second.stop()
  client.socket.resetAndDestroy() // a FIN alone is no end of it
  await first.stop()

  expect(second.logs.filter(({ msg }) => String(msg).startsWith('the replica is not started'))).toHaveLength(3)
  await caughtUp()
  expect(await isRunning()).toBe(true)
})

test.each<[string, (options: readonly string[]) => Promise<void>]>([
  [
    'agent, with a login of its own',
    async (options) => {
      const login = join(scratch, 'login.cnf')
      writeFileSync(login, `[client]\nuser=${LOGIN.user}\npassword=${LOGIN.password}\n`, { mode: 0o600 })
      const next = await AgentProcess.start([...options, '--defaults-file', login])
      await next.stop()
    },
  ],
  [
    'incremental backup, with the login of its client',
    async (options) => {
      const next = await AgentProcess.start(options)
      await askAs076(next.port, { ...LOGIN, 'backup-level': '1' })
      await next.stop()
    },
  ],
])('is started by the next %s, when the one that should was killed in the middle', async (what, start) => {
  await stopped()
  const bin = join(scratch, `quiet ${what}`)
  const state = join(scratch, `state ${what}`)
  mkdirSync(bin)
  writeFileSync(join(bin, 'mariadb-backup'), QUIET_PROGRAM, { mode: 0o755 })
  const options = ['--engine', 'mariadb-backup', '--socket', replica.socket, '--state-dir', state]
  const killed = await AgentProcess.start(options, { environment: { PATH: `${bin}:/usr/bin:/bin` } })
  const client = await rawClient(killed.port)
  client.socket.write(requestOf076({ ...LOGIN, replication: '1' }))
  await killed.logged(({ msg }) => msg === 'engine started')
  await killed.stop('SIGKILL')
  expect(await isRunning()).toBe(false)

  await start(options)

  await caughtUp()
  expect(await isRunning()).toBe(true)
})

describe('a grant that is missing', () => {
  beforeEach(async () => {
    await replica.query('DROP USER IF EXISTS poor@localhost')
  })

  test.each<[string, readonly string[], string]>([
    ['to see the replica', ['RELOAD', 'PROCESS', 'BINLOG MONITOR'], 'SLAVE MONITOR'],
    ['to start it', ['RELOAD', 'PROCESS', 'BINLOG MONITOR', 'SLAVE MONITOR'], 'REPLICATION SLAVE ADMIN'],
  ])('%s is named for both levels, before anything starts', async (_, grants, missing) => {
    await stopped()
    await replica.createBackupUser('poor', 'p', grants)

    for (const level of ['0', '1'] as const) {
      const { ready, block } = await ask(level, { user: 'poor' })
      expect([ready, block.get('code')]).toEqual([false, 'ENGINE_PRIVILEGE'])
      expect(block.get('msg')).toContain(`GRANT ${missing} ON *.* TO 'poor'@'localhost'`)
    }
  })

  test('is needed for nothing where the replica runs already', async () => {
    await stopped()
    await replica.query('START SLAVE')
    await caughtUp()
    await replica.createBackupUser('poor', 'p', ['BINLOG MONITOR', 'SLAVE MONITOR'])

    expect((await ask('1', { user: 'poor' })).block.get('status')).toBe('SENDING')
  })
})

test.each<['0' | '1', readonly string[]]>([
  ['0', ['RELOAD', 'PROCESS', 'BINLOG MONITOR']],
  ['1', ['BINLOG MONITOR']],
])(
  'on a server that is no replica, replication=1 is no error at level %s, also without the grants',
  async (level, grants) => {
    await primary.query('FLUSH BINARY LOGS')
    await primary.createBackupUser(`level${level}`, 'p', grants)
    const other = await AgentProcess.start([
      '--engine',
      'mariadb-backup',
      '--socket',
      primary.socket,
      '--spool-dir',
      scratch,
    ])

    const { block, ended } = await askAs076(other.port, {
      user: `level${level}`,
      password: 'p',
      'backup-level': level,
      replication: '1',
    })
    await other.stop()

    expect([block.get('status'), ended]).toEqual(['SENDING', 'fin'])
    expect([...block.keys()]).toEqual(['status', 'msg', 'sid'])
    expect(other.logs.map(({ msg }) => msg)).toContain('replication=1: the server is no replica, nothing to start')
  },
)

test('a replica of several sources is shown with all of them, and all are started', async () => {
  await stopped()
  await replica.query("CHANGE MASTER 'eu' TO MASTER_HOST='127.0.0.1', MASTER_PORT=1, MASTER_USER='x'")

  const { block } = await ask('1')
  const status = await replica.query('SHOW ALL SLAVES STATUS')
  await replica.query("STOP SLAVE 'eu'; RESET SLAVE 'eu' ALL")

  expect(block.get('eu:Master_Host')).toBe('127.0.0.1')
  expect(block.get('eu:Master_Port')).toBe('1')
  expect(block.get('Exec_Master_Log_Pos')).toMatch(/^\d+$/)
  expect(status.map((row) => row[13])).toEqual(['Yes', 'Yes'])
})
