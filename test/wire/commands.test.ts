import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { CLIENT_PROGRAM as CLIENT } from '../rig/agent-process.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { plainEnvironment, type ProgramRun, runProgram } from '../rig/run-program.ts'
import { PASSWORD, SESSION_DIRECTORY, SITUATIONS, type Stage } from './situations.ts'

let scratch: string
let stage: Stage
beforeAll(async () => {
  scratch = makeGuardedDirectory('commands')
  stage = await SITUATIONS.directory('in this process')
})
afterAll(async () => {
  await stage.leave()
  await removeGuardedDirectory(scratch)
})

const client = (options: readonly string[], environment: Record<string, string> = {}): Promise<ProgramRun> =>
  runProgram(process.execPath, [CLIENT, ...options], { environment: { ...plainEnvironment(), ...environment } })
const address = (): string => `${stage.host}:${stage.port}`
const fixture = (name: string): string => join(SESSION_DIRECTORY, `${name}.session`)

test.each(['example-request', 'newer-minor', 'half-closing-client', 'framed', 'framed-own-pace', 'status'])(
  'recording %s anew gives the very file that lies in the repository',
  async (name) => {
    const passwordFile = join(scratch, 'password')
    writeFileSync(passwordFile, `${PASSWORD}\n`, { mode: 0o600 })
    const out = join(scratch, `${name}.session`)
    const hide = ['--hide', 'a-path-of-this-machine']

    const { exitCode, stderr } = await client([
      ...['record', address(), '--request', fixture(name), '--out', out, '--password-file', passwordFile],
      ...hide,
    ])

    expect(stderr).toBe('')
    expect(exitCode).toBe(0)
    expect(readFileSync(out, 'utf8')).toBe(readFileSync(fixture(name), 'utf8'))
    expect(readFileSync(out, 'utf8')).not.toContain(PASSWORD)
  },
)

test('record writes to standard output when told so', async () => {
  const { exitCode, stdout } = await client([
    'record',
    address(),
    '--request',
    fixture('empty-connection'),
    '--out',
    '-',
  ])

  expect(exitCode).toBe(0)
  expect(stdout.toString()).toMatch(/^# kv-backup-agent wire session 1\n(?:.*\n)*<fin\n$/)
})

test('replay exits with 0 and one line when the agent answers as recorded', async () => {
  const environment = { BACKUP_PASSWORD: PASSWORD }

  const { exitCode, stdout, stderr } = await client(['replay', fixture('example-request'), address()], environment)

  expect([exitCode, stderr]).toEqual([0, ''])
  expect(stdout.toString()).toMatch(
    /example-request\.session: as recorded, 6 lines and a stream of .* \(archive whole\)\n$/,
  )
})

test('replay says the first difference and exits with 4', async () => {
  const other = join(scratch, 'other.session')
  writeFileSync(other, readFileSync(fixture('unknown-action'), 'utf8').replace('< status=FAILED', '< status=OK'))

  const { exitCode, stdout, stderr } = await client(['replay', other, address()])

  expect(exitCode).toBe(4)
  expect(stdout.toString()).toBe('')
  expect(stderr).toMatch(
    /other\.session, line \d+: expected "status=OK\\n", found "status=FAILED\\n" \[SESSION_DIFFERS\]/,
  )
  expect(stderr).toContain('hint: the agent went on: "msg=')
})

test.each([
  ['a session that cannot be read', () => ['replay', CLIENT, address()], 2, /line 1: expected/],
  ['a session that is not there', () => ['replay', '/nowhere', address()], 2, /cannot read the session \/nowhere/],
  ['a password that nobody gave', () => ['replay', fixture('example-request'), address()], 2, /needs a password/],
  ['a request that is not there', () => ['record', address(), '--request', '/nowhere', '--out', '-'], 2, /cannot read/],
  [
    'an output that cannot be',
    () => ['record', address(), '--request', fixture('monitor'), '--out', '/nowhere/a'],
    2,
    /cannot write/,
  ],
  ['an agent that is not there', () => ['replay', fixture('monitor'), '127.0.0.1:1'], 6, /cannot connect/],
])('%s is told in one sentence', async (_, options, status, sentence) => {
  const { exitCode, stderr } = await client(options())

  expect(exitCode).toBe(status)
  expect(stderr).toMatch(sentence)
})
