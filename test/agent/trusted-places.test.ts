/** An agent does not start where other users of the host could reach in; the doctor says the same beforehand. */

import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

import { checkHostFiles } from '../../lib/doctor/host-files.ts'
import { AGENT_PROGRAM, AgentProcess } from '../rig/agent-process.ts'
import { plainEnvironment, runProgram } from '../rig/run-program.ts'

const isRoot = process.geteuid?.() === 0
const SOMEBODY = 65_534

let home: string
let places: Readonly<Record<'spool' | 'temporary' | 'state' | 'login', string>>

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'places-'))
  const [spool, temporary, state] = ['spool', 'temporary', 'state'].map((name) => join(home, name)) as [
    string,
    string,
    string,
  ]
  for (const directory of [spool, temporary]) mkdirSync(directory)
  places = { spool, temporary, state, login: join(home, 'login.cnf') }
  writeFileSync(places.login, '[client]\nuser=backup\npassword=a-login\n', { mode: 0o600 })
})
afterEach(() => rmSync(home, { recursive: true }))

const options = (): string[] => [
  ...['--engine', 'mariadb-backup', '--socket', join(home, 'no.sock')],
  ...['--spool-dir', places.spool, '--state-dir', places.state, '--defaults-file', places.login],
]
const environment = () => ({ ...plainEnvironment(), TMPDIR: places.temporary })

const looked = () =>
  checkHostFiles({ spoolDirectory: places.spool, temporary: places.temporary, defaultsFiles: [places.login] })

interface Lax {
  readonly make: () => void
  readonly status: number
  readonly says: () => string
  readonly hint: () => string
}

const LAX: readonly (readonly [string, Lax])[] = [
  [
    'a spool directory in which everyone may rename',
    {
      make: () => chmodSync(places.spool, 0o777),
      status: 7,
      says: () => `${places.spool} (--spool-dir) cannot be used: everyone may replace what is in it (mode 0777)`,
      hint: () => `chmod o-w ${places.spool}`,
    },
  ],
  [
    'a directory for temporary files in which everyone may rename',
    {
      make: () => chmodSync(places.temporary, 0o777),
      status: 7,
      says: () => `${places.temporary} (TMPDIR) cannot be used: everyone may replace`,
      hint: () => `chmod o-w ${places.temporary}`,
    },
  ],
  [
    'a login that everyone may read',
    {
      make: () => chmodSync(places.login, 0o644),
      status: 2,
      says: () =>
        `the defaults file ${places.login} cannot be used: there is a password in it, and everyone may read it (mode 0644)`,
      hint: () => `chmod 0600 ${places.login}`,
    },
  ],
  [
    'a login that its group may write to',
    {
      make: () => chmodSync(places.login, 0o620),
      status: 2,
      says: () => `${places.login} cannot be used: its group may write to it (mode 0620)`,
      hint: () => `chmod go-w ${places.login}`,
    },
  ],
  [
    'a login in a directory in which everyone may rename',
    {
      make: () => {
        const open = join(home, 'open')
        mkdirSync(open)
        chmodSync(open, 0o777)
        writeFileSync(join(open, 'login.cnf'), '[client]\nuser=backup\n', { mode: 0o600 })
        places = { ...places, login: join(open, 'login.cnf') }
      },
      status: 2,
      says: () => `of its directory ${join(home, 'open')}: everyone may replace what is in it`,
      hint: () => `chmod o-w ${join(home, 'open')}`,
    },
  ],
]

test.each(LAX)(
  '%s is refused at the start, with the command that mends it',
  async (_, { make, status, says, hint }) => {
    make()

    const run = await runProgram(process.execPath, [AGENT_PROGRAM, 'serve', '--listen', '127.0.0.1:0', ...options()], {
      environment: environment(),
    })
    const findings = await looked()

    expect(run.stderr).toContain(says())
    expect(run.stderr).toContain(`hint: ${hint()}`)
    expect(run.exitCode).toBe(status)
    expect(findings).toMatchObject([{ check: 'host files', result: 'fail' }])
    expect(findings[0]?.todo).toContain(hint())
  },
)

;(isRoot ? test : test.skip).each<[string, 'spool' | 'temporary' | 'login']>([
  ['a spool directory of another user', 'spool'],
  ['a directory for temporary files of another user', 'temporary'],
  ['a login of another user', 'login'],
])('%s is refused', async (_, place) => {
  chownSync(places[place], SOMEBODY, SOMEBODY)

  const findings = await looked()

  expect(findings).toMatchObject([
    { result: 'fail', found: expect.stringContaining(`belongs to user ${SOMEBODY}, expected root`) },
  ])
})

test.each([
  ['sticky as /tmp is', () => chmodSync(places.spool, 0o1777)],
  ['a login for a group that the agent is in', () => chmodSync(places.login, 0o640)],
  [
    'an option file for everyone, without a password in it',
    () => {
      writeFileSync(places.login, '[client]\nuser=backup\n')
      chmodSync(places.login, 0o644)
    },
  ],
])('%s is well', async (_, make) => {
  make()

  const agent = await AgentProcess.start(options(), { environment: environment() })
  const findings = await looked()
  await agent.stop()

  expect(findings).toMatchObject([{ check: 'host files', result: 'ok' }])
})

test('what becomes lax later is refused when the configuration is read again, and the agent goes on as it was', async () => {
  const agent = await AgentProcess.start(options(), { environment: environment() })
  chmodSync(places.spool, 0o777)

  process.kill(agent.pid, 'SIGHUP')
  const line = await agent.logged((one) => JSON.stringify(one).includes('SCRATCH_UNSAFE'))
  await agent.stop()

  expect(JSON.stringify(line)).toContain(places.spool)
})
