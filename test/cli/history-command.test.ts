/** `backup-agent history`, as a person and as a script see it. */

import { Command } from 'commander'
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals'

import { historyCommand } from '../../lib/cli/history-command.ts'
import { runProgram } from '../../lib/cli/index.ts'
import { ended, NOON, openJournal, scratchDirectory, started } from '../history/journals.ts'
import { JournalProcess } from '../history/processes.ts'

let stdout = ''
let stderr = ''

beforeEach(() => {
  stdout = ''
  stderr = ''
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text)
    return true
  })
  jest.spyOn(process.stderr, 'write').mockImplementation((text) => {
    stderr += String(text)
    return true
  })
})
afterEach(() => {
  jest.restoreAllMocks()
})

const history = (...options: string[]): Promise<number> =>
  runProgram(new Command('backup-agent').addCommand(historyCommand()), ['node', 'backup-agent', 'history', ...options])

test('people get a table, the newest last, and learn why a backup failed', async () => {
  const directory = scratchDirectory()
  const journal = await openJournal(directory)
  await journal.append(started('a'))
  await journal.append(ended('a'))
  await journal.append(started('b', { engineVersion: undefined }))
  await journal.append({ event: 'ended', job: 'b', outcome: 'failed', code: 'ENGINE_FAILED' })
  await journal.append(started('c'))

  expect(await history('--state-dir', directory)).toBe(0)

  const peer = '192.0.2.7:51234'
  expect(stdout.split('\n')).toEqual([
    'STARTED               STATE      TIME   SIZE     ENGINE                   PEER             SESSION   WHY',
    `2026-03-01 12:00:00Z  delivered  3.3 s  1.2 MiB  mariadb-backup 10.11.19  ${peer}  sid-of-a`,
    `2026-03-01 12:00:00Z  failed                     mariadb-backup           ${peer}  sid-of-b  ENGINE_FAILED`,
    `2026-03-01 12:00:00Z  running                    mariadb-backup 10.11.19  ${peer}  sid-of-c`,
    '',
  ])
})

test('scripts get one object, and only the newest when they ask for them', async () => {
  const directory = scratchDirectory()
  const journal = await openJournal(directory, { now: () => NOON })
  for (const job of ['a', 'b', 'c']) await journal.append(started(job))

  expect(await history('--json', '--last', '2', '--state-dir', directory)).toBe(0)

  const { status, damagedLines, jobs } = JSON.parse(stdout)
  expect({ status, damagedLines }).toEqual({ status: 'OK', damagedLines: 0 })
  expect(jobs.map(({ job, state }: { job: string; state: string }) => `${job} ${state}`)).toEqual([
    'b running',
    'c running',
  ])
})

test('a job whose process is gone is not called running', async () => {
  const directory = scratchDirectory()
  const dead = new JournalProcess(['start', directory, 'a'])
  await dead.hasTold(1)
  await dead.kill()

  await history('--state-dir', directory)
  expect(stdout).toMatch(/ interrupted .* process gone$/m)
  stdout = ''
  await history('--state-dir', directory, '--json')

  expect(JSON.parse(stdout).jobs).toMatchObject([{ job: 'a', state: 'running', processGone: true }])
})

test('what a client called itself cannot move the cursor', async () => {
  const directory = scratchDirectory()
  const journal = await openJournal(directory)
  await journal.append(started('a', { sid: 'x\u001b[2J\r\n\u202eevil' }))

  await history('--state-dir', directory)

  expect(stdout).toContain('x?[2J???evil')
  expect(stdout.split('\n')).toHaveLength(3)
})

test.each([
  ['a state directory that is not there', ['--state-dir', '/nowhere/at/all'], 7, /HISTORY_DIRECTORY/],
  ['a number of jobs that is none', ['--last', '0'], 2, /1 or more/],
])('%s ends with its exit status', async (_, options, status, said) => {
  expect(await history(...options)).toBe(status)
  expect(stderr).toMatch(said)
})

test('an empty history says so', async () => {
  expect(await history('--state-dir', scratchDirectory())).toBe(0)
  expect(stdout).toBe('no backup was asked for yet\n')
})
