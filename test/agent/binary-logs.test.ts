import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { type RunningAgent, startAgent } from '../../lib/agent/index.ts'
import { readHistory } from '../../lib/history/index.ts'
import { askAs076, unpack } from '../rig/deployed-client.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'
import { converse } from '../rig/raw-client.ts'

let scratch: string
let server: ThrowawayServer
let agent: RunningAgent
const LOGIN = { user: 'backup', password: 'p a"ss' }
let sids = 0
const sid = (): string => `/srv/backups/Nightly/${sids++}`

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'agent-binary-logs-'))
  server = await ThrowawayServer.start({ binaryLog: true })
  await server.createBackupUser(LOGIN.user, LOGIN.password)
  await server.query(
    'CREATE DATABASE shop; CREATE TABLE shop.t (n INT); FLUSH BINARY LOGS; INSERT INTO shop.t VALUES (1)',
  )
  await server.query('FLUSH BINARY LOGS')
  agent = await startAgent({
    port: 0,
    engine: 'mariadb-backup',
    socket: server.socket,
    spoolDirectory: scratch,
    stateDirectory: join(scratch, 'state'),
    allow: { binlogDirectories: [join(scratch, 'allowed')] },
  })
})
afterAll(async () => {
  await agent.stop()
  await server.discard()
  rmSync(scratch, { recursive: true })
})

const incremental = (pairs: Readonly<Record<string, string>> = {}, port = agent.port) =>
  askAs076(port, { ...LOGIN, 'backup-level': '1', file: 'ZRM_LINKS/.', ...pairs })

test('an incremental backup is the closed binary logs, byte for byte, under their own names and in their order', async () => {
  const { ready, block, archive, ended } = await incremental({ sid: sid() })

  const directory = join(scratch, 'unpacked')
  expect(unpack(archive, directory)).toEqual(['binlog.000001', 'binlog.000002'])
  for (const name of ['binlog.000001', 'binlog.000002']) {
    expect(readFileSync(join(directory, name)).equals(readFileSync(join(server.dataDirectory, name)))).toBe(true)
  }
  expect(ready).toBe(true)
  expect([...block.keys()]).toEqual(['status', 'msg', 'sid'])
  expect(block.get('status')).toBe('SENDING')
  expect(block.get('msg')).toContain('an incremental backup')
  expect(ended).toBe('fin')
})

test('begins with the binary log that the client wants', async () => {
  const { archive } = await incremental({ sid: sid(), binlog: 'binlog.000002' })

  expect(unpack(archive, join(scratch, 'from'))).toEqual(['binlog.000002'])
})

/** Behind a rotation the server writes one more event, in its own time. */
const checkpointed = async (): Promise<void> => {
  const last = (await server.query('SHOW BINARY LOGS')).at(-1)?.[0] ?? ''
  for (;;) {
    const events = await server.query(`SHOW BINLOG EVENTS IN '${last}'`)
    if (events.some((event) => event[2] === 'Binlog_checkpoint' && event.at(-1) === last)) return
  }
}

test('flushes nothing: the log that is being written stays so', async () => {
  await checkpointed()
  const before = await server.query('SHOW BINARY LOGS')

  await incremental({ sid: sid() })

  expect(await server.query('SHOW BINARY LOGS')).toEqual(before)
})

test('a later request of the same sid is answered with OK and no stream, by another agent process too', async () => {
  const again = sid()
  const other = await startAgent({
    port: 0,
    engine: 'mariadb-backup',
    socket: server.socket,
    stateDirectory: join(scratch, 'state'),
  })

  const first = await incremental({ sid: again })
  const second = await incremental({ sid: again, file: 'something else' })
  const third = await incremental({ sid: again }, other.port)
  await other.stop()

  expect(first.archive.length).toBeGreaterThan(0)
  for (const { ready, block, archive, ended } of [second, third]) {
    expect([ready, block.get('status'), archive.length, ended]).toEqual([true, 'OK', 0, 'fin'])
    expect(block.get('msg')).toContain('earlier request')
  }
})

test('without a sid every request gets them', async () => {
  expect((await incremental()).block.get('status')).toBe('SENDING')
  expect((await incremental()).block.get('status')).toBe('SENDING')
})

test('when nothing is closed the answer is OK and says so', async () => {
  const { ready, block, archive } = await incremental({ sid: sid(), binlog: 'binlog.000003' })

  expect([ready, block.get('status'), archive.length]).toEqual([true, 'OK', 0])
  expect(block.get('msg')).toBe(
    'nothing to send: no binary log from binlog.000003 on is closed yet, the server writes to binlog.000003',
  )
})

test('is remembered as incremental, with where it ends', async () => {
  const remembered = sid()

  await incremental({ sid: remembered, binlog: 'binlog.000002' })

  const job = (await readHistory(join(scratch, 'state'))).jobs.find((record) => record.sid === remembered)
  expect(job).toMatchObject({
    engine: 'binary-logs',
    state: 'sent-unconfirmed',
    requested: { 'backup-level': 1, binlog: 'binlog.000002' },
    coordinates: { binlogFile: 'binlog.000002' },
  })
})

describe('is refused in place of READY', () => {
  test.each<[string, Readonly<Record<string, string>>, string, RegExp]>([
    [
      'when the wanted log is gone',
      { binlog: 'binlog.000000' },
      'SERVER_BINLOG_GONE',
      /oldest one there is binlog.000001/,
    ],
    ['when the wanted log is a path', { binlog: '/etc/x.000001' }, 'PROTOCOL_VALUE_INVALID', /file name/],
    ['when the login is wrong', { password: 'wrong' }, 'ENGINE_LOGIN', /refused the login/],
    ['for a directory nobody has allowed', { 'mysql-binlog-path': '/etc' }, 'AGENT_NOT_ALLOWED', /\[allow\]/],
    ['as an unknown encoding', { 'agent-stream-encoding': 'text/html' }, 'ENCODING_UNKNOWN', /./],
  ])('%s', async (_, pairs, code, why) => {
    const { ready, block, ended } = await incremental({ sid: sid(), ...pairs })

    expect([ready, block.get('status'), block.get('code'), ended]).toEqual([false, 'FAILED', code, 'fin'])
    expect(block.get('msg')).toMatch(why)
    expect(block.get('msg')).not.toContain(LOGIN.password)
  })

  test('when a grant is missing, with the statement that gives it', async () => {
    await server.createBackupUser('poor', 'p', ['RELOAD'])

    const { block } = await incremental({ sid: sid(), user: 'poor', password: 'p' })

    expect(block.get('code')).toBe('ENGINE_PRIVILEGE')
    expect(block.get('msg')).toContain("GRANT BINLOG MONITOR ON *.* TO 'poor'@'localhost'")
  })

  test('and the next one is served', async () => {
    await incremental({ sid: sid(), binlog: 'binlog.000000' })

    expect((await incremental({ sid: sid() })).block.get('status')).toBe('SENDING')
  })
})

test('a directory that the server uses, or that the operator allows, may be named', async () => {
  const copies = join(scratch, 'allowed', 'copies')
  mkdirSync(copies, { recursive: true })
  execFileSync('cp', ['-p', join(server.dataDirectory, 'binlog.000002'), copies])

  const own = await incremental({ sid: sid(), 'mysql-binlog-path': `${server.dataDirectory}/` })
  const allowed = await incremental({ sid: sid(), binlog: 'binlog.000002', 'mysql-binlog-path': copies })

  expect(own.block.get('status')).toBe('SENDING')
  expect(unpack(allowed.archive, join(scratch, 'from-copies'))).toEqual(['binlog.000002'])
})

test('a server without a binary log says so', async () => {
  const plain = await ThrowawayServer.start()
  const other = await startAgent({ port: 0, engine: 'mariadb-backup', socket: plain.socket })

  const { block } = await incremental({ user: 'root', password: '' }, other.port)
  await other.stop()
  await plain.discard()

  expect(block.get('code')).toBe('SERVER_BINLOG_OFF')
})

test('a client of 0.77 gets them in frames, and again until it has confirmed them', async () => {
  const request = [
    '0.77.0\n7',
    'action=copy from',
    'backup-level=1',
    `user=${LOGIN.user}`,
    `password=${LOGIN.password}`,
    'sid=of 0.77',
    'binlog=binlog.000002',
    'agent-stream-encoding=application/x-framed-stream',
    '\n',
  ].join('\n')

  const answers = [
    await converse(agent.port, request, { halfClose: true }),
    await converse(agent.port, request, { halfClose: true }),
  ]

  for (const { bytes, ended } of answers) {
    const text = bytes.toString('latin1')
    expect(ended).toBe('fin')
    expect(text).toContain('status=ACCEPTED')
    expect(text).toContain('engine=binary-logs')
    expect(text).toMatch(/status=COMPLETE\nmsg=an incremental backup by binary-logs/)
    expect(text).toMatch(/binlog-file=binlog\.000002\nbinlog-position=\d+\n/)
  }
})
