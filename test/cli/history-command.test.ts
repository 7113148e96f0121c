/** `backup-agent history`, as a person and as a script see it. */

import { Command } from 'commander'
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals'

import { historyCommand } from '../../lib/cli/history-command.ts'
import { runProgram } from '../../lib/cli/index.ts'
import { readHistory } from '../../lib/history/index.ts'
import { ended, NOON, openJournal, scratchDirectory, started } from '../history/journals.ts'
import { JournalProcess } from '../history/processes.ts'

let stdout = ''
let stderr = ''

/** A stream that takes every text, and says so: whoever prints waits for that. */
const taking =
  (take: (text: string) => void): typeof process.stdout.write =>
  (text: string | Uint8Array, ...rest: unknown[]) => {
    take(String(text))
    const taken = rest.at(-1)
    if (typeof taken === 'function') process.nextTick(taken as () => void)
    return true
  }

beforeEach(() => {
  stdout = ''
  stderr = ''
  jest.spyOn(process.stdout, 'write').mockImplementation(
    taking((text) => {
      stdout += text
    }),
  )
  jest.spyOn(process.stderr, 'write').mockImplementation(
    taking((text) => {
      stderr += text
    }),
  )
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
  await journal.append(ended('a', { msg: 'whole' }))
  await journal.append(started('b', { engineVersion: undefined }))
  const msg = 'the backup program ended with an error:\n\nmariabackup: Access denied'
  await journal.append({ event: 'ended', job: 'b', outcome: 'failed', code: 'ENGINE_LOGIN', seconds: 0.21, msg })
  await journal.append(started('c'))

  expect(await history('--state-dir', directory)).toBe(0)

  expect(stdout.split('\n')).toEqual([
    'STARTED (UTC)     OUTCOME    SESSION   ENGINE                   SIZE     TIME   CODE',
    '2026-03-01 12:00  delivered  sid-of-a  mariadb-backup 10.11.19  1.2 MiB  3.3 s',
    '2026-03-01 12:00  failed     sid-of-b  mariadb-backup                    0.2 s  ENGINE_LOGIN',
    '    the backup program ended with an error:',
    '    mariabackup: Access denied',
    '2026-03-01 12:00  running    sid-of-c  mariadb-backup 10.11.19',
    '',
  ])
})

test('scripts get everything that is remembered', async () => {
  const directory = scratchDirectory()
  const journal = await openJournal(directory)
  await journal.append(started('a'))
  await journal.append(ended('a', { outcome: 'failed', code: 'X', msg: 'why', padded: { files: 2, bytes: 32_768 } }))

  await history('--json', '--state-dir', directory)

  expect(JSON.parse(stdout)).toEqual({ status: 'OK', ...(await readHistory(directory)) })
  expect(JSON.parse(stdout).jobs).toMatchObject([
    { job: 'a', code: 'X', msg: 'why', padded: { files: 2, bytes: 32_768 }, peer: '192.0.2.7:51234' },
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

test('whoever asks for one session gets the newest of its jobs, and no other', async () => {
  const directory = scratchDirectory()
  const journal = await openJournal(directory)
  for (const [job, sid] of ['x', 'nightly', 'nightly', 'nightly-2', 'y'].entries()) {
    await journal.append(started(`job-${job}`, { sid }))
  }

  await history('--sid', 'nightly', '--json', '--state-dir', directory)
  expect(JSON.parse(stdout).jobs.map(({ job }: { job: string }) => job)).toEqual(['job-1', 'job-2'])
  stdout = ''
  await history('--sid', 'nightly', '--last', '1', '--json', '--state-dir', directory)
  expect(JSON.parse(stdout).jobs.map(({ job }: { job: string }) => job)).toEqual(['job-2'])
  stdout = ''
  await history('--sid', 'night', '--state-dir', directory)

  expect(stdout).toBe('no backup of this session is remembered\n')
})

test('without --state-dir it reads where serve has written', async () => {
  const directory = scratchDirectory()
  const journal = await openJournal(directory)
  await journal.append(started('a'))
  process.env['STATE_DIRECTORY'] = directory

  try {
    expect(await history('--json')).toBe(0)
  } finally {
    delete process.env['STATE_DIRECTORY']
  }

  expect(JSON.parse(stdout).jobs).toMatchObject([{ job: 'a' }])
})

test('help says by which rule the directory is found, and not where it is on this machine', () => {
  process.env['STATE_DIRECTORY'] = '/somewhere/on-this-machine'

  let help: string
  try {
    help = historyCommand().configureHelp({ helpWidth: 1000 }).helpInformation()
  } finally {
    delete process.env['STATE_DIRECTORY']
  }

  expect(help).toMatch(/--state-dir <DIR> .*\(default: as `serve`: .*XDG_STATE_HOME.*\)$/m)
  expect(help).not.toContain('on-this-machine')
})

test('a job whose process is gone is not called running', async () => {
  const directory = scratchDirectory()
  const dead = new JournalProcess(['start', directory, 'a'])
  await dead.hasTold(1)
  await dead.kill()

  await history('--state-dir', directory)
  expect(stdout).toMatch(/ interrupted .*\n {4}the process is gone; /)
  stdout = ''
  await history('--state-dir', directory, '--json')

  expect(JSON.parse(stdout).jobs).toMatchObject([{ job: 'a', state: 'running', processGone: true }])
})

test('what a client called itself cannot move the cursor', async () => {
  const directory = scratchDirectory()
  const journal = await openJournal(directory)
  await journal.append(started('a', { sid: 'x\u001b[2J\r\n\u202eevil' }))
  await journal.append(ended('a', { outcome: 'failed', code: 'X\u009b', msg: 'y\u001b[2J\r\u202eevil' }))

  await history('--state-dir', directory)

  expect(stdout).toContain('x?[2J???evil')
  expect(stdout).toContain('  X?\n    y?[2J??evil\n')
  expect(stdout.split('\n')).toHaveLength(4)
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
