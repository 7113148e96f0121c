import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { tokenProblem } from '../../lib/protocol/index.ts'
import { findToken, readTokens } from '../../lib/tokens/index.ts'
import { AGENT_PROGRAM } from '../rig/agent-process.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { plainEnvironment, type ProgramRun, runProgram } from '../rig/run-program.ts'

let scratch: string
let tokens: string
beforeAll(() => {
  scratch = makeGuardedDirectory('token-command')
  tokens = join(scratch, 'tokens')
  writeFileSync(join(scratch, 'agent.toml'), `tokens-file = "${tokens}"\n[role.nightly]\n[role.operator]\n`, {
    mode: 0o640,
  })
})
afterAll(() => removeGuardedDirectory(scratch))

const token = (...words: string[]): Promise<ProgramRun> =>
  runProgram(process.execPath, [AGENT_PROGRAM, 'token', ...words, '--config', join(scratch, 'agent.toml')])

/** Its standard output is a pipe that was closed before it wrote anything. */
const withoutReader = async (words: string[]): Promise<{ exitCode: number | null; stderr: string }> => {
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'], env: plainEnvironment() })
  child.stdout.destroy()
  const [stderr, [exitCode]] = await Promise.all([text(child.stderr), once(child, 'exit')])
  return { exitCode: exitCode as number | null, stderr }
}

const entryOf = async (name: string) => (await readTokens(tokens))?.entries.find((entry) => entry.name === name)
const days = async (name: string): Promise<number> => {
  const { createdMs = 0, expiresMs = 0 } = (await entryOf(name)) ?? {}
  return (expiresMs - createdMs) / (24 * 3_600_000)
}

test('add prints the token alone on standard output, once, and keeps nothing but its hash', async () => {
  const run = await token('add', 'backup1', '--role', 'nightly')

  const [secret = '', ...rest] = run.stdout.toString().split('\n')
  expect([run.exitCode, rest]).toEqual([0, ['']])
  expect(tokenProblem(secret)).toBeUndefined()
  expect(run.stderr).toMatch(
    /^backup1: role nightly, until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, in .*\/tokens\nthis is the only time that the token is shown\n$/,
  )
  expect(run.stderr).not.toContain('kvb_')
  expect(readFileSync(tokens, 'utf8')).not.toContain(secret.slice(4, 20))
  expect(findToken((await readTokens(tokens))?.entries ?? [], secret)?.name).toBe('backup1')
  expect(statSync(tokens).mode & 0o027).toBe(0)
})

test.each<[string, (words: string[]) => Promise<{ exitCode: number | null; stderr: string }>]>([
  ['the disk is full', (words) => runProgram('sh', ['-c', 'exec "$@" > /dev/full', 'sh', process.execPath, ...words])],
  ['nobody reads', withoutReader],
  ['standard output is closed', (words) => runProgram('sh', ['-c', 'exec "$@" >&-', 'sh', process.execPath, ...words])],
])('add keeps nothing of a token that nobody got: %s', async (_, start) => {
  const words = ['token', 'add', 'lost', '--role', 'nightly', '--config', join(scratch, 'agent.toml')]

  const { exitCode, stderr } = await start([AGENT_PROGRAM, ...words])

  expect(stderr).toContain('[CLI_OUTPUT]')
  expect(exitCode).toBe(7)
  expect(await entryOf('lost')).toBeUndefined()
  expect(existsSync(`${tokens}.lock`)).toBe(false)
})

test('add that cannot write says so, and leaves the file as it was', async () => {
  await token('add', 'before', '--role', 'nightly')
  const before = readFileSync(tokens, 'utf8')
  const words = ['token', 'add', 'after', '--role', 'nightly', '--config', join(scratch, 'agent.toml')]

  const run = await runProgram('prlimit', ['--fsize=10', process.execPath, AGENT_PROGRAM, ...words])

  expect(run.stderr).toMatch(
    /the token that was printed is worth nothing: .* cannot be written: EFBIG; it is as it was \[AGENT_TOKENS_WRITE\]/,
  )
  expect(run.exitCode).toBe(7)
  expect(readFileSync(tokens, 'utf8')).toBe(before)
  expect(existsSync(`${tokens}.lock`)).toBe(false)
})

test('a token ends after a year, after so many days, on a date, or never', async () => {
  await token('add', 'year', '--role', 'nightly')
  await token('add', 'days', '--role', 'nightly', '--expires', '90d')
  await token('add', 'date', '--role', 'nightly', '--expires', '2999-12-31')
  await token('add', 'never', '--role', 'operator', '--never-expires')

  expect([await days('year'), await days('days')]).toEqual([365, 90])
  expect((await entryOf('date'))?.expiresMs).toBe(Date.parse('2999-12-31T00:00:00Z'))
  expect(await entryOf('never')).toMatchObject({ role: 'operator', expiresMs: undefined })
})

test('list shows names, roles and states, and no secret', async () => {
  await token('add', 'listed', '--role', 'operator', '--never-expires')
  await token('revoke', 'listed')

  const people = (await token('list')).stdout.toString()
  const { tokens: all } = JSON.parse((await token('list', '--json')).stdout.toString())

  expect(people).toMatch(/^NAME +ROLE +STATE +CREATED +EXPIRES +REVOKED\n/)
  expect(people).toMatch(/^listed +operator +revoked +\S+Z +never +\S+Z$/m)
  expect(all).toContainEqual(expect.objectContaining({ name: 'listed', role: 'operator', state: 'revoked' }))
  expect(people + JSON.stringify(all)).not.toMatch(/kvb_|sha256|[0-9a-f]{64}/)
})

test.each<[string, string[], RegExp]>([
  [
    'a role that is not there',
    ['add', 'a', '--role', 'nightli'],
    /no role "nightli" .*; did you mean nightly\? \[CLI_USAGE\]/,
  ],
  ['no role', ['add', 'a'], /required option '--role <ROLE>'/],
  ['an odd name', ['add', 'a b', '--role', 'nightly'], /expected a name of 1 to 64 .* \[CLI_USAGE\]/],
  [
    'a time that is over',
    ['add', 'a', '--role', 'nightly', '--expires', '2001-01-01'],
    /a time to come.* \[CLI_USAGE\]/,
  ],
  ['no day of the calendar', ['add', 'a', '--role', 'nightly', '--expires', '2030-02-30'], /Expected a number of days/],
  ['weeks', ['add', 'a', '--role', 'nightly', '--expires', '2w'], /Expected a number of days/],
  [
    'two ends',
    ['add', 'a', '--role', 'nightly', '--expires', '1d', '--never-expires'],
    /cannot be used with option '--never-expires'/,
  ],
  ['a token that is not there', ['revoke', 'nobody'], /there is no token "nobody" \[CLI_USAGE\]/],
])('%s is refused, and nothing is made', async (_, words, said) => {
  const run = await token(...words)

  expect([run.exitCode, run.stdout.toString(), run.stderr]).toEqual([2, '', expect.stringMatching(said)])
  expect(await entryOf('a')).toBeUndefined()
})

test('a file that others can write to is neither listed nor changed', async () => {
  await token('add', 'before', '--role', 'nightly')
  chmodSync(tokens, 0o660)

  const runs = [await token('list'), await token('add', 'after', '--role', 'nightly'), await token('revoke', 'before')]
  chmodSync(tokens, 0o640)

  for (const { exitCode, stdout, stderr } of runs) {
    expect([exitCode, stdout.toString(), stderr]).toEqual([
      2,
      '',
      expect.stringMatching(/0660.*\[AGENT_ACCESS_TOKENS\]/s),
    ])
  }
  expect([await entryOf('after'), (await entryOf('before'))?.revokedMs]).toEqual([undefined, undefined])
})
