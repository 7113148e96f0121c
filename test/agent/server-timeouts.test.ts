import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

import { AgentProcess } from '../rig/agent-process.ts'
import { askAs076, requestOf076 } from '../rig/deployed-client.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'
import { rawClient } from '../rig/raw-client.ts'

/** Says a few words and then nothing, until it is ended. */
const QUIET_PROGRAM = `#!/bin/sh
case " $* " in
  *' --version '*) echo 'mariadb-backup based on MariaDB server 10.11.19-MariaDB stand-in (x86_64)'; exit 0 ;;
  *' --help '*) exit 0 ;;
esac
printf 'XBSTCK01'
exec sleep 600
`
const NAMES = ['wait_timeout', 'net_read_timeout', 'net_write_timeout']
const AS_IT_WAS = ['600', '30', '60']
const RAISED = ['28800', '7200', '7200']
const WISHES = {
  'xtrabackup-agent:mysql-wait-timeout': '8',
  'xtrabackup-agent:mysql-net-timeout': '7200',
}
const RICH = { user: 'rich', password: 'p' }
const POOR = { user: 'poor', password: 'p' }

let scratch: string
let server: ThrowawayServer
let states = 0

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'server-timeouts-'))
  mkdirSync(join(scratch, 'bin'))
  writeFileSync(join(scratch, 'bin', 'mariadb-backup'), QUIET_PROGRAM, { mode: 0o755 })
  server = await ThrowawayServer.start({ options: ['--wait-timeout=600'] })
  await server.createBackupUser('rich', 'p', ['RELOAD', 'PROCESS', 'SUPER'])
  await server.createBackupUser('poor', 'p', ['RELOAD', 'PROCESS'])
})
afterAll(async () => {
  await server.discard()
  rmSync(scratch, { recursive: true })
})
beforeEach(async () => {
  await server.query('SET GLOBAL wait_timeout=600, GLOBAL net_read_timeout=30, GLOBAL net_write_timeout=60')
})

const timeouts = async (): Promise<string[]> => {
  const rows = await server.query(`SELECT ${NAMES.map((name) => `@@GLOBAL.${name}`).join(', ')}`)
  return [...(rows[0] ?? [])]
}

const newState = (): string => join(scratch, `state-${states++}`)

const start = (state: string | undefined, more: readonly string[] = [], quiet = false): Promise<AgentProcess> =>
  AgentProcess.start(
    [
      ...['--engine', 'mariadb-backup', '--socket', server.socket, '--spool-dir', scratch, ...more],
      ...(state === undefined ? [] : ['--state-dir', state]),
    ],
    quiet ? { environment: { PATH: `${join(scratch, 'bin')}:/usr/bin:/bin` } } : {},
  )

const owedIn = (state: string): string[] => readdirSync(state).filter((name) => name.startsWith('owed-'))

/** An agent in the middle of a backup, with the timeouts raised. */
const inTheMiddle = async (state: string): Promise<AgentProcess> => {
  const agent = await start(state, [], true)
  const client = await rawClient(agent.port)
  client.socket.write(requestOf076({ ...RICH, ...WISHES }))
  await agent.logged(({ msg }) => msg === 'engine started')
  return agent
}

test('are raised while a backup runs, and put back when it is over', async () => {
  const state = newState()
  const agent = await start(state)

  const { block, ended } = await askAs076(agent.port, {
    ...RICH,
    ...WISHES,
    'xtrabackup-agent:must-set-mysql-timeouts': '1',
  })
  await agent.stop()

  expect([block.get('status'), ended]).toEqual(['SENDING', 'fin'])
  const raised = agent.logs.find(({ msg }) => msg === 'timeouts of the server raised for this backup')
  expect(raised?.['settings']).toEqual(
    [
      { name: 'net_read_timeout', before: 30, during: 7200 },
      { name: 'net_write_timeout', before: 60, during: 7200 },
      { name: 'wait_timeout', before: 600, during: 28_800 },
    ].sort((a, b) => NAMES.indexOf(a.name) - NAMES.indexOf(b.name)),
  )
  const said = agent.logs.map(({ msg }) => msg)
  expect(said.indexOf('timeouts of the server raised for this backup')).toBeLessThan(said.indexOf('engine started'))
  expect(await timeouts()).toEqual(AS_IT_WAS)
  expect(owedIn(state)).toEqual([])
})

test('are put back also when the backup is cancelled in the middle', async () => {
  const state = newState()
  const agent = await inTheMiddle(state)
  expect(await timeouts()).toEqual(RAISED)

  process.kill(agent.pid, 'SIGTERM')
  await agent.logged(({ msg }) => msg === 'told to stop')
  process.kill(agent.pid, 'SIGTERM')
  await agent.ended

  expect(await timeouts()).toEqual(AS_IT_WAS)
  expect(owedIn(state)).toEqual([])
})

describe('after an agent was killed in the middle', () => {
  test('are put back by the next one as it starts, with the login of the operator', async () => {
    const state = newState()
    await (await inTheMiddle(state)).stop('SIGKILL')
    expect(await timeouts()).toEqual(RAISED)
    const login = join(scratch, 'login.cnf')
    writeFileSync(login, '[client]\nuser=rich\npassword=p\n', { mode: 0o600 })

    const next = await start(state, ['--defaults-file', login])

    expect(await timeouts()).toEqual(AS_IT_WAS)
    expect(owedIn(state)).toEqual([])
    await next.stop()
  })

  test('are put back by the next backup, with the login of its client', async () => {
    const state = newState()
    await (await inTheMiddle(state)).stop('SIGKILL')
    const login = join(scratch, 'nobody.cnf')
    writeFileSync(login, '[client]\nuser=nobody\npassword=p\n', { mode: 0o600 })
    const next = await start(state, ['--defaults-file', login])
    expect(await timeouts()).toEqual(RAISED)
    expect(owedIn(state)).toHaveLength(1)

    await askAs076(next.port, RICH)
    await next.stop()

    expect(await timeouts()).toEqual(AS_IT_WAS)
    expect(owedIn(state)).toEqual([])
  })

  test('are left alone where somebody has changed them since', async () => {
    const state = newState()
    await (await inTheMiddle(state)).stop('SIGKILL')
    await server.query('SET GLOBAL wait_timeout=900')
    const next = await start(state)

    await askAs076(next.port, RICH)
    await next.stop()

    expect(await timeouts()).toEqual(['900', '30', '60'])
  })
})

test('that are long enough already are not touched, and need no privilege', async () => {
  const agent = await start(newState())

  const { block } = await askAs076(agent.port, {
    ...POOR,
    'mysql-wait-timeout': '',
    'mysql-net-timeout': '0',
    'must-set-mysql-timeouts': '1',
  })
  await server.query('SET GLOBAL wait_timeout=99999')
  const second = await askAs076(agent.port, { ...POOR, 'mysql-wait-timeout': '8', 'must-set-mysql-timeouts': '1' })
  await agent.stop()

  expect([block.get('status'), second.block.get('status')]).toEqual(['SENDING', 'SENDING'])
  expect((await timeouts())[0]).toBe('99999')
})

describe('that cannot be set', () => {
  test('are a warning, and the backup is made', async () => {
    const agent = await start(newState())

    const { block } = await askAs076(agent.port, { ...POOR, ...WISHES })
    await agent.stop()

    expect(block.get('status')).toBe('SENDING')
    const warning = agent.logs.find(({ msg }) => msg.startsWith('the timeouts of the server stay as they are'))
    expect(warning).toMatchObject({ code: 'ENGINE_PRIVILEGE', hint: expect.stringContaining('GRANT SUPER ON *.* TO') })
    expect(await timeouts()).toEqual(AS_IT_WAS)
  })

  test('are a refusal where the client insists, with the statement that would help', async () => {
    const agent = await start(newState())

    const { ready, block } = await askAs076(agent.port, { ...POOR, ...WISHES, 'must-set-mysql-timeouts': '1' })
    await agent.stop()

    expect([ready, block.get('code')]).toEqual([false, 'SERVER_SETTING'])
    expect(block.get('msg')).toContain("GRANT SUPER ON *.* TO 'poor'@'localhost'")
  })

  test('because nobody would put them back after a crash, are refused likewise', async () => {
    const agent = await start(undefined)

    const { block } = await askAs076(agent.port, { ...RICH, ...WISHES, 'must-set-mysql-timeouts': '1' })
    await agent.stop()

    expect(block.get('code')).toBe('SERVER_SETTING')
    expect(block.get('msg')).toContain('--state-dir')
    expect(await timeouts()).toEqual(AS_IT_WAS)
  })
})
