/** No room for a line: a clear error, nothing that was there is lost, and what is owed is written later. */

import { describe, expect, jest, test } from '@jest/globals'
import { spawnSync } from 'node:child_process'
import { chmodSync, readdirSync, statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

import { readHistory } from '../../lib/history/index.ts'
import { mustRun } from '../rig/run-program.ts'
import { ended, journalFile, openJournal, scratchDirectory, started } from './journals.ts'
import { JOURNAL_PROGRAM, JournalProcess } from './processes.ts'

test('a limit on the size of files cuts a line in two: a clear error, and the next line stands alone', async () => {
  const directory = scratchDirectory()
  const full = new JournalProcess(['fill', directory, 'f'], ['prlimit', '--fsize=5000', '--'])

  const told = await full.ended()

  expect(told.slice(-2)).toEqual(['code HISTORY_FULL', 'errno EFBIG'])
  expect(statSync(journalFile(directory)).size).toBe(5000) // the kernel wrote what fitted
  const jobs = told.filter((line) => line.startsWith('started')).map((line) => line.split(' ')[1])
  const journal = await openJournal(directory)
  await journal.append(started('next'))
  const history = await readHistory(directory)
  expect(history.jobs.map(({ job }) => job)).toEqual([...jobs, 'next'])
  expect(history.damagedLines).toBe(1)
})

const MOUNT = 'mount -t tmpfs -o size=64k,mode=700 tmpfs "$1"'
const canMount = spawnSync('unshare', ['-rm', 'sh', '-c', MOUNT, 'sh', '/mnt']).status === 0

;(canMount ? describe : describe.skip)('a full disk (a file system of 64 KiB, where one may be mounted)', () => {
  test('a line that has no room: a clear error, and everything before it is whole', async () => {
    const directory = scratchDirectory()
    const script = `${MOUNT}
      "$2" "$3" fill "$1" f
      cp "$1"/history-000001.jsonl "$4"`

    const run = await mustRun('unshare', [
      '-rm',
      'sh',
      '-c',
      script,
      'sh',
      '/mnt',
      process.execPath,
      JOURNAL_PROGRAM,
      `${directory}/history-000001.jsonl`,
    ])

    const told = run.stdout.toString().trim().split('\n')
    expect(told.slice(-2)).toEqual(['code HISTORY_FULL', 'errno ENOSPC'])
    chmodSync(journalFile(directory), 0o600)
    const { jobs } = await readHistory(directory)
    expect(jobs.map(({ job }) => `started ${job}`)).toEqual(told.slice(0, -2))
    expect(jobs.length).toBeGreaterThan(50)
  })
})

describe('when the disk is full at the end of a job', () => {
  test('the end is owed, and written before anything else when there is room', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    const full = await diskFull()

    await expect(journal.append(ended('a'))).rejects.toMatchObject({ code: 'HISTORY_FULL', facts: { errno: 'ENOSPC' } })
    await expect(journal.settle()).rejects.toMatchObject({ code: 'HISTORY_FULL' })
    expect(journal.owed).toBe(1)
    // Whoever asks now is told how it ended, though no line says it.
    expect(await journal.newest('sid-of-a')).toMatchObject({ job: 'a', state: 'delivered', sha256: 'a'.repeat(64) })
    await expect(journal.append(started('b'))).rejects.toMatchObject({ code: 'HISTORY_FULL' })
    full.mockRestore()
    await journal.append(started('b'))

    expect(journal.owed).toBe(0)
    expect((await readHistory(directory)).jobs.map(({ job, state }) => `${job} ${state}`)).toEqual([
      'a delivered',
      'b running',
    ])
  })

  test('an end that is owed is an end: a second one is refused', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    const full = await diskFull()
    await expect(journal.append(ended('a'))).rejects.toMatchObject({ code: 'HISTORY_FULL' })
    full.mockRestore()

    await expect(journal.append(ended('a', { outcome: 'failed' }))).rejects.toMatchObject({ code: 'HISTORY_ENDED' })
    await journal.settle()

    expect((await readHistory(directory)).jobs.map(({ state }) => state)).toEqual(['delivered'])
  })

  test('a journal that cannot be written anew stays as it is, without a seal, and is appended to', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    const size = statSync(journalFile(directory)).size
    const full = await diskFull()

    await expect(journal.compact()).rejects.toMatchObject({ code: 'HISTORY_FULL' })
    full.mockRestore()

    expect(readdirSync(directory)).toEqual(['history-000001.jsonl'])
    expect(statSync(journalFile(directory)).size).toBe(size)
    await journal.append(ended('a'))
    expect((await readHistory(directory)).jobs.map(({ state }) => state)).toEqual(['delivered'])
  })

  test('a line that was written in part is written again, whole', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    const prototype = await fileHandlePrototype()
    const { write } = prototype
    const spy = jest.spyOn(prototype, 'write').mockImplementationOnce(function (this: FileHandle, bytes: Buffer) {
      return Reflect.apply(write, this, [bytes, 0, 50, null])
    } as never)

    await journal.append(started('a'))
    spy.mockRestore()

    expect(await readHistory(directory)).toMatchObject({ jobs: [{ job: 'a' }], damagedLines: 1 })
  })

  test('a disk that never keeps a whole line is said to be at fault', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    const prototype = await fileHandlePrototype()
    const { write } = prototype
    const spy = jest.spyOn(prototype, 'write').mockImplementation(function (this: FileHandle, bytes: Buffer) {
      return Reflect.apply(write, this, [bytes, 0, 50, null])
    } as never)

    await expect(journal.append(started('a'))).rejects.toMatchObject({ code: 'HISTORY_IO' })

    spy.mockRestore()
    expect((await readHistory(directory)).jobs).toEqual([])
  })
})

const fileHandlePrototype = async (): Promise<FileHandle> => {
  const handle = await open('/dev/null')
  await handle.close()
  return Object.getPrototypeOf(handle) as FileHandle
}

/** Every write fails as the kernel fails it on a full disk. */
const diskFull = async (): Promise<{ mockRestore(): void }> =>
  jest
    .spyOn(await fileHandlePrototype(), 'write')
    .mockRejectedValue(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }) as never)
