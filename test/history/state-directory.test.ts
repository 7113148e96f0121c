/** Whose directory is it, and who else could write there? */

import { chmodSync, chownSync, mkdirSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'

import { fileFailure } from '../../lib/history/file-failure.ts'
import { readHistory } from '../../lib/history/index.ts'
import { mustRun } from '../rig/run-program.ts'
import { openJournal, scratchDirectory, started } from './journals.ts'

test('a directory that is missing is made, private', async () => {
  const directory = join(scratchDirectory(), 'state')

  await openJournal(directory)

  expect((statSync(directory).mode & 0o777).toString(8)).toBe('700')
  expect((statSync(join(directory, 'history-000001.jsonl')).mode & 0o777).toString(8)).toBe('600')
})

test.each<[string, string, (directory: string) => string]>([
  ['a directory that others may read', 'HISTORY_UNSAFE', (directory) => changed(directory, 0o750)],
  ['a directory that everybody may write to', 'HISTORY_UNSAFE', (directory) => changed(directory, 0o702)],
  ['a symbolic link', 'HISTORY_UNSAFE', (directory) => linkTo(directory, '')],
  ['a symbolic link with a slash behind it', 'HISTORY_UNSAFE', (directory) => linkTo(directory, '/')],
  ['a file', 'HISTORY_UNSAFE', (directory) => join(directory, 'history-000001.jsonl')],
  ['a directory in a directory that is not there', 'HISTORY_DIRECTORY', (directory) => join(directory, 'a', 'b')],
  ['a journal that others may read', 'HISTORY_UNSAFE', (directory) => withMode(directory, 0o640)],
  ['a journal that others may write', 'HISTORY_UNSAFE', (directory) => withMode(directory, 0o602)],
  ['a journal that is a link', 'HISTORY_UNSAFE', (directory) => journalLink(directory)],
  ['a journal that is a directory', 'HISTORY_', (directory) => journalDirectory(directory)],
])('%s is refused, for reading and for writing', async (_, code, prepare) => {
  const directory = scratchDirectory()
  await (await openJournal(directory)).close()
  const path = prepare(directory)
  const refusal = expect.objectContaining({ code: expect.stringContaining(code), hint: expect.any(String) })

  await expect(readHistory(path)).rejects.toEqual(refusal)
  await expect(openJournal(path)).rejects.toEqual(refusal)
})

test('a FIFO in the place of the journal is refused and not waited for', async () => {
  const directory = scratchDirectory()
  await mustRun('mkfifo', ['-m', '600', join(directory, 'history-000001.jsonl')])

  await expect(readHistory(directory)).rejects.toMatchObject({ code: 'HISTORY_UNSAFE' })
})

test('a missing directory is not an empty history', async () => {
  await expect(readHistory(join(scratchDirectory(), 'state'))).rejects.toMatchObject({ code: 'HISTORY_DIRECTORY' })
})

test('a journal that became open to others while it was in use is noticed at the next generation', async () => {
  const directory = scratchDirectory()
  const [one, other] = [await openJournal(directory), await openJournal(directory)]
  await one.append(started('a'))
  await other.compact()
  chmodSync(join(directory, 'history-000002.jsonl'), 0o666)

  await expect(one.append(started('b'))).rejects.toMatchObject({ code: 'HISTORY_UNSAFE' })
})

const asRoot = process.geteuid?.() === 0 ? describe : describe.skip

asRoot('somebody else (only root can try)', () => {
  test('a directory of another user is refused for writing; root may read it', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    chownSync(directory, 65_534, 65_534)
    chownSync(join(directory, 'history-000001.jsonl'), 65_534, 65_534)

    await expect(openJournal(directory)).rejects.toMatchObject({ code: 'HISTORY_UNSAFE' })

    expect((await readHistory(directory)).jobs.map(({ job }) => job)).toEqual(['a'])
  })

  test('a journal of another user in a directory of ours is refused for writing', async () => {
    const directory = scratchDirectory()
    await (await openJournal(directory)).close()
    chownSync(join(directory, 'history-000001.jsonl'), 65_534, 65_534)

    await expect(openJournal(directory)).rejects.toMatchObject({ code: 'HISTORY_UNSAFE' })
  })
})

test.each([
  ['ENOSPC', 'HISTORY_FULL'],
  ['EDQUOT', 'HISTORY_FULL'],
  ['EFBIG', 'HISTORY_FULL'],
  ['EACCES', 'HISTORY_DIRECTORY'],
  ['EPERM', 'HISTORY_DIRECTORY'],
  ['EROFS', 'HISTORY_DIRECTORY'],
  ['ENOENT', 'HISTORY_DIRECTORY'],
  ['ELOOP', 'HISTORY_UNSAFE'],
  ['EIO', 'HISTORY_IO'],
])('%s is %s', (errno, code) => {
  const cause = Object.assign(new Error('the system'), { code: errno })

  const failure = fileFailure('append to a file', cause)

  expect(failure).toMatchObject({ code, message: `cannot append to a file: ${errno}`, facts: { errno }, cause })
})

test('an error that is not from the system is a bug, and stays one', () => {
  expect(() => fileFailure('append', new TypeError('x is not a function'))).toThrow(TypeError)
})

const changed = (path: string, mode: number): string => {
  chmodSync(path, mode)
  return path
}
const withMode = (directory: string, mode: number): string => {
  chmodSync(join(directory, 'history-000001.jsonl'), mode)
  return directory
}
const linkTo = (directory: string, end: string): string => {
  const link = join(scratchDirectory(), 'link')
  symlinkSync(directory, link)
  return `${link}${end}`
}
const journalLink = (directory: string): string => {
  const [path, away] = [join(directory, 'history-000001.jsonl'), join(directory, 'away')]
  renameSync(path, away)
  symlinkSync(away, path)
  return directory
}
const journalDirectory = (directory: string): string => {
  const path = join(directory, 'history-000002.jsonl')
  mkdirSync(path, { mode: 0o700 })
  writeFileSync(join(path, 'x'), '')
  return directory
}
