/** Is the process that ran a job gone? Only when it is certain. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'

import { ProcessTable, readHistory } from '../../lib/history/index.ts'
import { openJournal, scratchDirectory, started } from './journals.ts'

const BOOT = '1d7f3b60-0000-4000-8000-00000000000a'

/** A proc file system made by hand: only what is read of it. */
const procWith = (stat: string | undefined, bootId: string | undefined = BOOT): string => {
  const directory = scratchDirectory()
  mkdirSync(join(directory, '77'))
  mkdirSync(join(directory, 'sys/kernel/random'), { recursive: true })
  if (stat !== undefined) writeFileSync(join(directory, '77/stat'), stat)
  if (bootId !== undefined) writeFileSync(join(directory, 'sys/kernel/random/boot_id'), `${bootId}\n`)
  return directory
}

/** As proc(5) writes it: the start time is field 22. */
const stat = (state: string, startTicks: string, name = 'node'): string =>
  `77 (${name}) ${state} 1 77 77 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 11 0 ${startTicks} 999 888 777\n`

const RUNNING = { pid: 77, startTicks: '123456', bootId: BOOT }

test('a process is its id, its start and the boot', async () => {
  const table = new ProcessTable()

  const identity = await table.identify(process.pid)

  expect(identity).toEqual({
    pid: process.pid,
    startTicks: expect.stringMatching(/^\d+$/),
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
  })
  expect(await table.isGone(identity)).toBe(false)
})

test.each([
  ['runs', stat('S', '123456'), BOOT, false],
  ['runs, under a name with parentheses and spaces', stat('R', '123456', 'a) Z (b c'), BOOT, false],
  ['is a later one with the same id', stat('S', '123457'), BOOT, true],
  ['ran before the last boot, though id and start are the same', stat('S', '123456'), 'another-boot', true],
  ['is dead, and its parent has not asked yet', stat('Z', '123456'), BOOT, true],
  ['is not there', undefined, BOOT, true],
  ['runs, and the boot is not known', stat('S', '123456'), '', false],
  ['is a later one, and the boot is not known', stat('S', '9'), '', true],
])('a process that %s', async (_, text, bootId, gone) => {
  const table = new ProcessTable(procWith(text, bootId))

  expect(await table.isGone(RUNNING)).toBe(gone)
})

test('a boot that is not known now is not held against a job that knew it', async () => {
  const directory = procWith(stat('S', '123456'))
  rmSync(join(directory, 'sys'), { recursive: true })

  expect(await new ProcessTable(directory).isGone(RUNNING)).toBe(false)
})

test('a child that was killed is gone while it is still a zombie', async () => {
  // The shell starts a child, becomes a program that never asks how its children ended, and says the child's id.
  const parent = spawn('sh', ['-c', 'cat <&3 & echo $!; exec sleep 600 3<&-'], {
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
  })
  const [said] = (await once(parent.stdout as NonNullable<typeof parent.stdout>, 'data')) as [Buffer]
  const pid = Number(said.toString())
  const table = new ProcessTable()
  const identity = await table.identify(pid)
  expect(await table.isGone(identity)).toBe(false)

  process.kill(pid, 'SIGKILL')
  while (!/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1')))
    await new Promise((resolve) => setImmediate(resolve))

  expect(await table.isGone(identity)).toBe(true)
  parent.kill('SIGKILL')
  await once(parent, 'close')
})

describe('a proc file system that does not say enough', () => {
  test.each([
    ['without the process', undefined],
    ['with a state that stops early', '77 (node) S 1 2 3\n'],
    ['with something else in the place of the start', stat('S', 'soon')],
  ])('%s: nobody is called gone because of it', async (_, text) => {
    const directory = procWith(text)

    await expect(
      openJournal(scratchDirectory(), { processes: new ProcessTable(directory), pid: 77 }),
    ).rejects.toMatchObject({
      code: 'HISTORY_PROCESS',
    })
  })
})

test('a job of a process whose id was given out again becomes interrupted', async () => {
  const state = scratchDirectory()
  const before = await openJournal(state, { processes: new ProcessTable(procWith(stat('S', '100'))), pid: 77 })
  await before.append(started('a'))
  await before.close()
  const after = await openJournal(state, { processes: new ProcessTable(procWith(stat('S', '200'))), pid: 77 })
  await after.append(started('b'))

  const marked = await after.markInterrupted()

  expect(marked.map(({ job }) => job)).toEqual(['a'])
  expect((await readHistory(state)).jobs.map(({ job, state: is }) => `${job} ${is}`)).toEqual([
    'a interrupted',
    'b running',
  ])
})
