/** Whose directory is it, and who else could write there? */

import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, jest, test } from '@jest/globals'

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

test('what is missing above it is made too, private', async () => {
  const home = scratchDirectory()
  chmodSync(home, 0o755) // as homes are
  const directory = join(home, '.local', 'state', 'agent')
  const umask = process.umask(0)

  await openJournal(directory)
  process.umask(umask)

  const modes = ['.local', '.local/state', '.local/state/agent'].map((name) => statSync(join(home, name)).mode & 0o777)
  expect(modes).toEqual([0o700, 0o700, 0o700])
  expect((statSync(home).mode & 0o777).toString(8)).toBe('755')
})

test('the names of what was made are on the disk before it is used', async () => {
  const parent = scratchDirectory()
  const synced: string[] = []
  const handle = await open(parent)
  await handle.close()
  const prototype = Object.getPrototypeOf(handle) as FileHandle
  const { sync } = prototype
  const spy = jest.spyOn(prototype, 'sync').mockImplementation(async function (this: FileHandle) {
    synced.push(readlinkSync(`/proc/self/fd/${this.fd}`))
    return Reflect.apply(sync, this, [])
  })

  await openJournal(join(parent, 'a', 'b'))
  spy.mockRestore()

  expect(synced).toEqual([parent, join(parent, 'a'), join(parent, 'a', 'b')])
})

test('several agents that start at once may all find it missing', async () => {
  const directory = join(scratchDirectory(), 'a', 'b', 'c')

  const journals = await Promise.all([1, 2, 3, 4, 5].map(() => openJournal(directory)))
  for (const [at, journal] of journals.entries()) await journal.append(started(`job-${at}`))

  expect((await readHistory(directory)).jobs).toHaveLength(5)
})

test.each<[string, string, (parent: string) => string]>([
  ['below a directory that everybody may write to', 'HISTORY_UNSAFE', (parent) => below(changed(parent, 0o707))],
  ['below a directory that a group may write to', 'HISTORY_UNSAFE', (parent) => below(changed(parent, 0o770))],
  ['below a link that leads nowhere', 'HISTORY_UNSAFE', (parent) => below(linkTo(join(parent, 'nowhere'), ''))],
  ['below a file', 'HISTORY_UNSAFE', (parent) => below(fileIn(parent))],
])('nothing is made %s', async (_, code, prepare) => {
  const parent = scratchDirectory()
  const path = prepare(parent)
  const before = readdirSync(parent)

  await expect(openJournal(path)).rejects.toMatchObject({ code, hint: expect.stringContaining('--state-dir') })

  expect(readdirSync(parent)).toEqual(before)
})

test('a directory where everybody may write, and nobody rename what is ours, will do', async () => {
  const parent = changed(scratchDirectory(), 0o1777)

  await expect(openJournal(below(parent))).resolves.toBeDefined()
})

test.each<[string, string, (directory: string) => string]>([
  ['a directory that others may read', 'HISTORY_UNSAFE', (directory) => changed(directory, 0o750)],
  ['a directory that everybody may write to', 'HISTORY_UNSAFE', (directory) => changed(directory, 0o702)],
  ['a symbolic link', 'HISTORY_UNSAFE', (directory) => linkTo(directory, '')],
  ['a symbolic link with a slash behind it', 'HISTORY_UNSAFE', (directory) => linkTo(directory, '/')],
  ['a file', 'HISTORY_UNSAFE', (directory) => join(directory, 'history-000001.jsonl')],
  ['a journal that others may read', 'HISTORY_UNSAFE', (directory) => withMode(directory, 0o640)],
  ['a journal that others may write', 'HISTORY_UNSAFE', (directory) => withMode(directory, 0o602)],
  ['a journal that is a link', 'HISTORY_UNSAFE', (directory) => journalLink(directory)],
  ['a journal that is a directory', 'HISTORY_UNSAFE', (directory) => journalDirectory(directory)],
])('%s is refused, for reading and for writing', async (_, code, prepare) => {
  const directory = scratchDirectory()
  await (await openJournal(directory)).close()
  const path = prepare(directory)
  const refusal = expect.objectContaining({
    code: expect.stringContaining(code),
    hint: expect.stringContaining('--state-dir'),
  })

  await expect(readHistory(path)).rejects.toEqual(refusal)
  await expect(openJournal(path)).rejects.toEqual(refusal)
})

test('a FIFO in the place of the journal is refused and not waited for', async () => {
  const directory = scratchDirectory()
  await mustRun('mkfifo', ['-m', '600', join(directory, 'history-000001.jsonl')])

  await expect(readHistory(directory)).rejects.toMatchObject({ code: 'HISTORY_UNSAFE' })
})

test.each(['state', 'a/b/state'])(
  'a missing directory (%s) is not an empty history, and reading makes none',
  async (name) => {
    const parent = scratchDirectory()

    await expect(readHistory(join(parent, name))).rejects.toMatchObject({
      code: 'HISTORY_DIRECTORY',
      hint: expect.stringContaining('--state-dir'),
    })

    expect(readdirSync(parent)).toEqual([])
  },
)

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

  test('nothing is made in the directory of another user', async () => {
    const home = scratchDirectory()
    chownSync(home, 65_534, 65_534)

    await expect(openJournal(join(home, '.local', 'state'))).rejects.toMatchObject({
      code: 'HISTORY_UNSAFE',
      hint: expect.stringContaining('--state-dir'),
    })

    expect(readdirSync(home)).toEqual([])
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
  ['ENOTDIR', 'HISTORY_UNSAFE'],
  ['EISDIR', 'HISTORY_UNSAFE'],
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
const below = (parent: string): string => join(parent, 'missing', 'state')
const fileIn = (directory: string): string => {
  const path = join(directory, 'file')
  writeFileSync(path, '')
  return path
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
