/** The set-up that README recommends, executed as it stands there; and what clients are told of logins. */

import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { fetchBackup } from '../../lib/client/index.ts'
import { AGENT_PROGRAM, AgentProcess, CLIENT_PROGRAM } from '../rig/agent-process.ts'
import { askAs076 } from '../rig/deployed-client.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'
import { converse, rawClient } from '../rig/raw-client.ts'
import { plainEnvironment, runProgram } from '../rig/run-program.ts'

const README = readFileSync(fileURLToPath(new URL('../../../README.md', import.meta.url)), 'utf8')
const NOBODY = 65_534

/** Root tries it as somebody who may nothing; everybody else as themselves. */
const isRoot = process.geteuid?.() === 0
const user = isRoot ? 'nobody' : userInfo().username

let scratch: string
let server: ThrowawayServer
beforeAll(async () => {
  scratch = makeGuardedDirectory('host-login')
  chmodSync(scratch, 0o755)
  server = await ThrowawayServer.start({ directory: scratch, binaryLog: true, ...(isRoot ? { owner: NOBODY } : {}) })
  await server.query(
    'CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY); INSERT shop.orders VALUES (7)',
  )
  await server.createBackupUser('backup', 'secret')
})
afterAll(async () => {
  await server.discard()
  await removeGuardedDirectory(scratch)
})

const inScratch = (name: string): string => join(scratch, name)
const ownedByAgent = (name: string): string => {
  mkdirSync(inScratch(name), { mode: 0o700 })
  if (isRoot) chownSync(inScratch(name), NOBODY, NOBODY)
  return inScratch(name)
}
/** Words before a program that make its user the agent's. */
const asAgent = isRoot ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--'] : []

describe('the set-up of README, from nothing', () => {
  const [onServer = '', onClient = ''] = [
    ...(/^### The login stays on the host$(.*?)^### /ms.exec(README)?.[1] ?? '').matchAll(/```sh\n(.*?)```/gs),
  ].map(([, text = '']) => text)

  /** Programs of a host that this machine has no service of: what they would do is done on the throw-away server. */
  const programs = (): string => {
    const directory = inScratch('programs')
    mkdirSync(directory)
    const program = (name: string, script: string): void =>
      writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    program('mariadb', `exec "$REAL_MARIADB" ${server.clientOptions().join(' ')} "$@"`)
    program('runuser', `shift 3; exec ${asAgent.join(' ')} "$@"`)
    program('systemctl', 'echo "$@" >> "$SYSTEMCTL_CALLS"')
    program('backup-agent', `exec ${process.execPath} ${AGENT_PROGRAM} "$@"`)
    program('backup-client', `exec ${process.execPath} ${CLIENT_PROGRAM} "$@"`)
    return directory
  }

  /** The text as it stands there, with this machine's places and names. */
  const shell = async (text: string, environment: Readonly<Record<string, string>>, db1 = 'db1') => {
    const script = text
      .replaceAll('/etc/kv-backup-agent', inScratch('etc'))
      .replaceAll('mysql@localhost', `${user}@localhost`)
      .replace('fetch db1 ', `fetch ${db1} `)
    return runProgram('/bin/sh', ['-euc', script], { directory: scratch, environment })
  }

  test('gives a client a whole backup for a token, by a user and an account that may nothing else', async () => {
    mkdirSync(inScratch('etc'), { mode: 0o750 })
    if (isRoot) chownSync(inScratch('etc'), 0, NOBODY)
    writeFileSync(inScratch('etc/agent.toml'), '', { mode: 0o640 })
    if (isRoot) chownSync(inScratch('etc/agent.toml'), 0, NOBODY)
    const plain = plainEnvironment()
    const mariadb = (await runProgram('/bin/sh', ['-c', 'command -v mariadb'])).stdout.toString().trim()
    const environment = {
      ...plain,
      PATH: `${programs()}:${plain['PATH']}`,
      REAL_MARIADB: mariadb,
      SYSTEMCTL_CALLS: inScratch('systemctl'),
      KV_BACKUP_AGENT_CONFIG: inScratch('etc/agent.toml'),
      KV_BACKUP_AGENT_TOKENS_FILE: inScratch('etc/tokens'),
      KV_BACKUP_AGENT_SOCKET: server.socket,
      KV_BACKUP_AGENT_STATE_DIR: ownedByAgent('state'),
      KV_BACKUP_AGENT_SPOOL_DIR: ownedByAgent('spool'),
      KV_BACKUP_AGENT_LISTEN: '127.0.0.1:0',
      TMPDIR: ownedByAgent('run'),
    }

    const setUp = await shell(onServer, environment)
    expect([setUp.exitCode, setUp.stderr]).toEqual([0, expect.stringContaining('backup1: role nightly')])
    expect(setUp.stdout.toString()).toMatch(/\ngrants +ok .*\n/)
    expect(setUp.stdout.toString()).toMatch(/\ntokens +ok +1 valid/)
    expect(setUp.stdout.toString()).toMatch(/\nbackups can be made\n$/)
    expect(readFileSync(inScratch('systemctl'), 'utf8')).toBe('restart kv-backup-agent\n')
    const agent = await AgentProcess.start(['--state-dir', inScratch('state')], { environment, launcher: asAgent })
    chmodSync(inScratch('backup1.token'), 0o600)
    const fetched = await shell(onClient, environment, agent.address)

    expect([fetched.exitCode, fetched.stderr]).toEqual([0, ''])
    expect(fetched.stdout.toString()).toMatch(/whole, and the agent's own verdict and digest agree/)
    expect(await server.query(`SHOW GRANTS FOR ${user}@localhost`)).toEqual([
      [expect.stringMatching(/^GRANT RELOAD, PROCESS, BINLOG MONITOR ON \*\.\* TO .* IDENTIFIED VIA unix_socket$/)],
    ])
    await agent.stop()
  })
})

describe('an agent with the login on its host', () => {
  let agent: AgentProcess
  beforeAll(async () => {
    await server.query(`CREATE USER IF NOT EXISTS ${user}@localhost IDENTIFIED VIA unix_socket`)
    await server.query(`GRANT RELOAD, PROCESS, BINLOG MONITOR ON *.* TO ${user}@localhost`)
    agent = await AgentProcess.start(
      ['--socket', server.socket, '--host-login', 'true', '--spool-dir', ownedByAgent('spool-2')],
      { environment: { ...plainEnvironment(), TMPDIR: ownedByAgent('run-2') }, launcher: asAgent },
    )
  })
  afterAll(() => agent.stop())

  test.each([
    ['none', {}],
    ['one that the server does not know', { user: 'gone', password: 'long ago' }],
    ['one that may nothing', { user: 'gone', password: '' }],
  ])('uses it for a client of 0.76 that sends %s', async (_, login) => {
    const { ready, ended } = await askAs076(agent.port, login)

    expect([ready, ended]).toEqual([true, 'fin'])
    const isSaid = agent.logs.some(({ msg }) => msg.startsWith('the client sends a login for the database'))
    expect(isSaid).toBe('user' in login)
    expect(agent.stderr).not.toContain('long ago')
  })

  test('uses it for binary logs too', async () => {
    await server.query('FLUSH BINARY LOGS')

    const { ready, block } = await askAs076(agent.port, { 'backup-level': '1', user: 'gone', password: 'x' })

    expect([ready, block.get('status')]).toEqual([true, 'SENDING'])
  })

  test('tells nobody whose login it is when it is refused', async () => {
    await server.query(`DROP USER ${user}@localhost`)

    const { block } = await askAs076(agent.port, { user: 'backup', password: 'secret' })

    expect(block.get('code')).toBe('ENGINE_LOGIN')
    expect(block.get('msg')).toMatch(/^the database refused the login of the agent itself; /)
    expect(block.get('msg')).not.toContain(user)
  })
})

describe('a client whose login is refused', () => {
  let agent: AgentProcess
  beforeAll(async () => {
    await server.query(`
      CREATE USER locked@localhost IDENTIFIED BY 'right' ACCOUNT LOCK;
      CREATE USER socket@localhost IDENTIFIED VIA unix_socket;
      CREATE USER elsewhere@'192.0.2.7' IDENTIFIED BY 'right'`)
    agent = await AgentProcess.start(['--socket', server.socket, '--state-dir', inScratch('state-3')])
  })
  afterAll(() => agent.stop())

  const told = async (name: string, level: '0' | '1'): Promise<string | undefined> => {
    const { block } = await askAs076(agent.port, { user: name, password: 'wrong', 'backup-level': level })
    expect(block.get('code')).toBe('ENGINE_LOGIN')
    return block.get('msg')?.replaceAll(name, 'USER')
  }

  test.each(['0', '1'] as const)('is told the same whether or not there is such a user, at level %s', async (level) => {
    const unknown = await told('unknown', level)

    for (const name of ['backup', 'locked', 'socket', 'elsewhere', 'root'])
      expect(await told(name, level)).toBe(unknown)
    expect(unknown).toMatch(
      /^the database refused the login: Access denied for user 'USER'@'localhost' \(using password: YES\); /,
    )
  })

  test('is told the same with the framed stream, and later by verdict and monitor', async () => {
    const asked = async (name: string): Promise<string> => {
      const sid = `run of ${name}`
      const fetch = fetchBackup({
        host: agent.host,
        port: agent.port,
        user: name,
        password: 'wrong',
        sid,
        target: { file: inScratch('never.tar') },
      })
      const refusal = await fetch.receipt.catch((error: Error) => error.message)
      const verdict = await runProgram(process.execPath, [CLIENT_PROGRAM, 'verdict', agent.address, sid])
      return `${refusal}\n${verdict.stdout.toString()}`.replaceAll(name, 'USER').replace(/job \S+|20\d\d-\S+/g, '')
    }

    const unknown = await asked('unknown')

    expect(await asked('locked')).toBe(unknown)
    expect(await asked('socket')).toBe(unknown)
    // The server itself tells this one apart; its words are in the log.
    expect(agent.stderr).toMatch(/"said":"the database refused the login: Access denied for user 'socket'@'localhost'"/)
  })

  const upon = async (password: string, base = `incremental-lsn=${FAR}`): Promise<string> => {
    const pairs = ['action=copy from', 'user=backup', `password=${password}`, 'backup-level=1', base]
    const { bytes } = await converse(agent.port, ['0.77.0', pairs.length, ...pairs, '', ''].join('\n'))
    return bytes.toString().replace(/sid=.*\n/, '')
  }

  test('hears nothing of a base, which says where the server stands', async () => {
    expect(await upon('wrong')).toContain('code=ENGINE_LOGIN\n')
    expect(await upon('secret')).toContain('code=JOB_BASE_LSN\n')
    expect(await upon('wrong', 'base-sid=never was')).toContain('code=ENGINE_LOGIN\n')
    expect(await upon('secret', 'base-sid=never was')).toContain('code=JOB_BASE_UNKNOWN\n')
  })

  test('is told that another backup runs, as everybody is, and not whether the login is right', async () => {
    const locked = server.query('LOCK TABLES shop.orders WRITE; DO SLEEP(600)').catch(() => [])
    const find = "SELECT id FROM information_schema.processlist WHERE info = 'DO SLEEP(600)'"
    let [row] = await server.query(find)
    for (; row === undefined; [row] = await server.query(find));
    const running = await rawClient(agent.port, agent.host)
    running.socket.write('0.77.0\n3\naction=copy from\nuser=backup\npassword=secret\n\n')
    await agent.logged(({ msg }) => msg === 'backup starting')

    const answers = [await upon('wrong'), await upon('secret')]
    running.socket.resetAndDestroy()
    await server.query(`KILL ${row[0]}`)
    await locked

    expect(answers[0]).toContain('code=JOB_BUSY\n')
    expect(answers[1]).toBe(answers[0])
  })
})

/** Nothing was ever written there. */
const FAR = '18446744073709551615'
