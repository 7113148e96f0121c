/** One process wants the job of another cancelled: written down in the journal, and told by a signal to exactly that one. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from '@jest/globals'

import { type Journal, ProcessTable } from '../../lib/history/index.ts'
import { DAY_MS, ended, NOON, openJournal, scratchDirectory, started } from './journals.ts'

const ending: (() => void)[] = []
afterEach(() => {
  for (const end of ending.splice(0)) end()
})

/** A process that says the names of the signals it listens to as they come. */
const runningProcess = async (listens: boolean) => {
  const listen = listens ? "process.on('SIGUSR2', (name) => console.log(name));" : ''
  const child = spawn(process.execPath, ['-e', `${listen} console.log('here'); setInterval(() => {}, 1000)`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  ending.push(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return { pid: child.pid ?? 0, child }
}

const firstElsewhere = async (journal: Journal) => {
  const [first] = await journal.runningElsewhere()
  if (first === undefined) throw new Error('nothing runs elsewhere')
  return first
}

test('a wish reaches the process that runs the job, and no other job of it', async () => {
  const directory = scratchDirectory()
  const { pid, child } = await runningProcess(true)
  const theirs = await openJournal(directory, { pid })
  const ours = await openJournal(directory)
  await theirs.append(started('one'))
  await theirs.append(started('two'))

  const running = await ours.runningElsewhere()
  const said = once(child.stdout, 'data')
  const told = await ours.wishCancelled(await firstElsewhere(ours), '192.0.2.9:4711')

  expect(running.map(({ job }) => job)).toEqual(['one', 'two'])
  expect(told).toBe('told')
  expect(String((await said)[0])).toBe('SIGUSR2\n')
  await expect(theirs.cancelWishes()).resolves.toEqual(new Map([['one', '192.0.2.9:4711']]))
  await expect(ours.cancelWishes()).resolves.toEqual(new Map())
})

test('a wish lives through a new generation of the journal, and damages nothing', async () => {
  const directory = scratchDirectory()
  const { pid } = await runningProcess(true)
  const theirs = await openJournal(directory, { pid })
  const ours = await openJournal(directory)
  await theirs.append(started('one'))
  await ours.wishCancelled(await firstElsewhere(ours), 'somebody')

  await ours.compact()

  await expect(theirs.cancelWishes()).resolves.toEqual(new Map([['one', 'somebody']]))
  await theirs.append(ended('one', { outcome: 'cancelled' }))
  await expect(theirs.cancelWishes()).resolves.toEqual(new Map())
  await expect(ours.runningElsewhere()).resolves.toEqual([])
})

test('the wish is forgotten with its job', async () => {
  const directory = scratchDirectory()
  const { pid } = await runningProcess(true)
  const theirs = await openJournal(directory, { pid })
  let nowMs = NOON
  const ours = await openJournal(directory, { now: () => nowMs, retention: { minJobs: 0 } })
  await theirs.append(started('one'))
  await ours.wishCancelled(await firstElsewhere(ours), 'somebody')
  await theirs.append(ended('one', { outcome: 'cancelled' }))

  nowMs += 10_000 * DAY_MS
  await expect(ours.compact()).resolves.toEqual({ droppedJobs: 1 })
  const [file = ''] = readdirSync(directory).filter((name) => name.startsWith('history-'))
  expect(readFileSync(join(directory, file), 'utf8')).not.toContain('somebody')
})

test('a process that does not listen to the signal is not sent it: it would be ended', async () => {
  const { pid, child } = await runningProcess(false)
  const table = new ProcessTable()

  await expect(table.tell(await table.identify(pid), 'SIGUSR2')).resolves.toBe('deaf')
  expect(child.exitCode).toBeNull()
  expect(child.signalCode).toBeNull()
})

test('a process with the number of one that is gone is not told', async () => {
  const { pid } = await runningProcess(true)
  const table = new ProcessTable()
  const identity = await table.identify(pid)

  await expect(table.tell({ ...identity, startTicks: '1' }, 'SIGUSR2')).resolves.toBe('gone')
})
