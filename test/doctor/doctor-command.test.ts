/** `backup-agent doctor` as people and scripts run it, beside a real server. */

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { examine } from '../../lib/doctor/index.ts'
import { canUnshare, launchWithTmpfs } from '../faults/namespaces.ts'
import { AGENT_PROGRAM, AgentProcess } from '../rig/agent-process.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { BACKUP_GRANTS, ThrowawayServer } from '../rig/mariadb-server.ts'
import { plainEnvironment, type ProgramRun, runProgram } from '../rig/run-program.ts'

const PASSWORD = 'correct horse'

interface Check {
  readonly check: string
  readonly result: string
  readonly found: string
  readonly todo?: string
}

let scratch: string
let server: ThrowawayServer

beforeAll(async () => {
  scratch = makeGuardedDirectory('doctor')
  server = await ThrowawayServer.start({ directory: scratch, binaryLog: true })
  await server.createBackupUser('backup', PASSWORD)
  await server.createBackupUser(
    'lacking',
    PASSWORD,
    BACKUP_GRANTS.filter((grant) => grant !== 'PROCESS'),
  )
  mkdirSync(join(scratch, 'spool'))
})
afterAll(async () => {
  await server.discard()
  await removeGuardedDirectory(scratch)
})

const NEEDED = ['--sample-seconds', '0']

/** Runs it on our server, and with directories of its own. */
const doctor = (options: readonly string[], launcher: readonly string[] = []): Promise<ProgramRun> => {
  const [program = '', ...words] = [
    ...launcher,
    process.execPath,
    AGENT_PROGRAM,
    'doctor',
    ...NEEDED,
    ...['--socket', server.socket, '--state-dir', join(scratch, 'state'), '--spool-dir', join(scratch, 'spool')],
    ...options,
  ]
  return runProgram(program, words, { environment: { ...plainEnvironment(), BACKUP_PASSWORD: PASSWORD } })
}

const checksOf = (run: ProgramRun): readonly Check[] =>
  (JSON.parse(run.stdout.toString()) as { checks: Check[] }).checks
const bad = (run: ProgramRun): string[] =>
  checksOf(run)
    .filter(({ result }) => result === 'fail')
    .map(({ check }) => check)
const of = (run: ProgramRun, name: string): Check | undefined => checksOf(run).find(({ check }) => check === name)

test('all is well: the agent answers, the login works, everything is looked at', async () => {
  const login = join(scratch, 'login.cnf')
  writeFileSync(login, `[client]\nuser=backup\npassword="${PASSWORD}"\n`, { mode: 0o600 })
  const agent = await AgentProcess.start(['--socket', server.socket, '--state-dir', join(scratch, 'state')])

  const run = await doctor(['--json', '--defaults-file', login, '--listen', agent.address])
  await agent.stop()

  const report = JSON.parse(run.stdout.toString())
  expect({ exit: run.exitCode, status: report.status, stderr: run.stderr }).toEqual({
    exit: 0,
    status: 'OK',
    stderr: '',
  })
  expect(bad(run)).toEqual([])
  expect(checksOf(run).map(({ check }) => check)).toEqual([
    'configuration',
    'node',
    'user',
    'engine',
    'login',
    'grants',
    'versions',
    'data directory',
    'spool',
    'spill',
    'redo log',
    'lock helpers',
    'compressors',
    'open files',
    'host files',
    'port',
    'access',
    'tls',
    'state',
    'history',
    'clock',
  ])
  expect(of(run, 'versions')?.found).toMatch(/^mariadb-backup (\d+\.\d+)\.\d+ for MariaDB \1\./)
  expect(of(run, 'port')?.found).toMatch(/^kv-backup-agent\S* answers/)
  expect(run.stdout.toString()).not.toContain(PASSWORD)
})

test('people get a table, what to do below each line that is not well, and the sum at its end', async () => {
  const run = await doctor(['--user', 'lacking'])

  expect(run.stdout.toString()).toMatch(/^CHECK +RESULT +FOUND\nconfiguration +ok +no file/)
  expect(run.stdout.toString()).toMatch(
    /\ngrants +FAIL +'lacking'@'localhost' lacks PROCESS\n {4}run on the server, as an administrator: GRANT PROCESS ON \*\.\* TO 'lacking'@'localhost';\n/,
  )
  expect(run.stdout.toString()).toMatch(/\n1 of these would make backups fail\n$/)
  expect(run.exitCode).toBe(4)
})

test('the statement that it names gives the grant', async () => {
  const statement = /GRANT .*;/.exec(of(await doctor(['--json', '--user', 'lacking']), 'grants')?.todo ?? '')?.[0]

  await server.query(statement ?? '')

  expect(bad(await doctor(['--json', '--user', 'lacking']))).toEqual([])
})

test('several servers are looked at one by one, and named', async () => {
  const directory = join(scratch, 'snapshot')
  mkdirSync(directory)
  writeFileSync(join(directory, 'ibdata1'), 'x')

  const findings = await examine({
    settings: {
      host: '127.0.0.1',
      port: 0,
      engine: 'auto',
      spoolDirectory: scratch,
      spoolBytes: 1e9,
      spillBytes: 1e9,
      memoryBytes: 1e7,
      seconds: {},
    },
    servers: [
      { instance: 'shop', settings: { socket: server.socket } },
      { instance: 'old', settings: { engine: 'directory', directory } },
    ],
    login: { user: 'backup', password: PASSWORD },
    ping: () => Promise.reject(new Error('nobody asks')),
    nowMs: Date.now(),
    sample: () => Promise.resolve(1),
  })

  const of = (name: string): string[] => findings.filter(({ instance }) => instance === name).map(({ check }) => check)
  expect(of('shop')).toEqual(['engine', 'login', 'grants', 'versions', 'data directory', 'spool', 'spill', 'redo log'])
  expect(of('old')).toEqual(['engine', 'data directory', 'spool', 'spill'])
  expect(findings.filter(({ result }) => result === 'fail')).toEqual([])
})

test('the configuration is looked at first: every mistake in it, and who may write it', async () => {
  const file = join(scratch, 'agent.toml')
  writeFileSync(file, 'spool-dri = "/srv"\n', { mode: 0o600 })
  const mistaken = await doctor(['--json', '--config', file])
  writeFileSync(file, 'listen = "127.0.0.1:0"\n')
  chmodSync(file, 0o666)
  const lax = await doctor(['--json', '--config', file])
  chmodSync(file, 0o600)
  const well = await doctor(['--json', '--config', file])

  expect(bad(mistaken)).toEqual(['configuration'])
  expect(of(mistaken, 'configuration')?.found).toContain('spool-dri')
  expect(bad(lax)).toEqual(['configuration'])
  expect(of(well, 'configuration')).toMatchObject({ result: 'ok', found: file })
  expect(of(well, 'port')?.found).toBe('the system chooses one')
})

test('without a login it looks at what it can, and that is no failure', async () => {
  const run = await doctor(['--json'])

  expect({ exit: run.exitCode, login: of(run, 'login')?.result }).toEqual({ exit: 0, login: 'warn' })
  expect(of(run, 'grants')).toBeUndefined()
})

test.each([
  ['a wrong password', ['--user', 'backup', '--password-file', 'WRONG'], ['login']],
  ['a server that does not run', ['--user', 'backup', '--socket', '/nowhere/server.sock'], ['login']],
  ['a backup program that is missing', ['--user', 'backup', '--engine', 'xtrabackup'], ['engine']],
  ['a spool directory that is not there', ['--user', 'backup', '--spool-dir', '/nowhere'], ['spool']],
  ['a limit of the spool below the redo log', ['--user', 'backup', '--spool-bytes', '1M'], ['spool']],
  ['an address of another machine', ['--user', 'backup', '--listen', '192.0.2.1:25300', '--insecure'], ['port']],
])('%s is found, and nothing else', async (_, options, checks) => {
  writeFileSync(join(scratch, 'wrong'), 'wrong horse\n', { mode: 0o600 })

  const run = await doctor(['--json', ...options.map((word) => (word === 'WRONG' ? join(scratch, 'wrong') : word))])

  expect(bad(run)).toEqual(checks)
  expect(run.exitCode).toBe(4)
  expect(run.stdout.toString() + run.stderr).not.toMatch(/(wrong|correct) horse/)
})

const mayMount = canUnshare()
if (!mayMount)
  process.stderr.write('doctor-command.test: NOT TRIED: a small disk and missing programs need root and mount(2)\n')
const whereMounts = mayMount ? test : test.skip

whereMounts('a tiny disk for the spool is found', async () => {
  const run = await doctor(['--json', '--user', 'backup'], launchWithTmpfs(join(scratch, 'spool'), '1m'))

  expect(bad(run)).toEqual(['spool'])
  expect(of(run, 'spill')?.result).toBe('warn')
})

whereMounts('a full disk for the history is found', async () => {
  mkdirSync(join(scratch, 'small'))
  const launcher = launchWithTmpfs(join(scratch, 'small'), '1m')

  const run = await doctor(['--json', '--user', 'backup', '--state-dir', join(scratch, 'small')], launcher)

  expect(bad(run)).toEqual(['state'])
})

whereMounts('a host without flock is found, and backups go on without it', async () => {
  const hide = ['unshare', '--mount', 'sh', '-c', 'mount --bind /dev/null "$(command -v flock)" && exec "$@"', 'sh']

  const run = await doctor(['--json', '--user', 'backup'], hide)

  expect(of(run, 'lock helpers')).toMatchObject({ result: 'warn', found: expect.stringMatching(/^flock is missing/) })
  expect(run.exitCode).toBe(0)
})

test('few files that may be open are found', async () => {
  const run = await doctor(['--json', '--user', 'backup'], ['prlimit', '--nofile=100'])

  expect(bad(run)).toEqual(['open files'])
})
