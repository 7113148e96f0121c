import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'

import { TargetDirectory } from '../../lib/archive/target-directory.ts'
import { makeScratch, type Scratch } from './file-trees.ts'

let scratch: Scratch
let target: TargetDirectory

beforeEach(async () => {
  scratch = makeScratch()
  target = await TargetDirectory.open(scratch.directory)
})
afterEach(async () => {
  await target.close()
  scratch.remove()
})

describe('a failure of the file system', () => {
  test.each([
    ['ENOENT', 'nothing of that name'],
    ['ENOSPC', 'no space left'],
    ['EDQUOT', 'quota'],
    ['EACCES', 'no permission'],
    ['EPERM', 'no permission'],
    ['EROFS', 'cannot be written'],
    ['EEXIST', 'did not make'],
    ['ELOOP', 'a link'],
    ['ENOTDIR', 'in place of a directory'],
    ['EMFILE', 'too many open files'],
    ['EIO', 'an error of the disk'],
  ])('%s is told with the name and what to do', async (errno, words) => {
    const cause = Object.assign(new Error('write'), { code: errno })

    await expect(target.attempt('shop/a.ibd', () => Promise.reject(cause))).rejects.toMatchObject({
      code: 'CLIENT_WRITE',
      message: expect.stringMatching(new RegExp(`shop/a\\.ibd", found .*${words}.*${errno}`)),
      hint: expect.any(String),
      cause,
    })
  })

  test('that nobody foresaw is told by its own name', async () => {
    const cause = Object.assign(new Error('odd'), { code: 'EODD' })

    await expect(target.attempt('a', () => Promise.reject(cause))).rejects.toMatchObject({
      code: 'CLIENT_WRITE',
      message: expect.stringMatching(/found EODD$/),
    })
  })
})

describe('creating', () => {
  test('opens each directory of a deep name once, not once for each below it', async () => {
    const attempt = jest.spyOn(target, 'attempt')

    for (const file of ['f', 'g']) await (await target.createFile(`${'d/'.repeat(60)}${file}`, 0o600)).close()
    await target.syncDirectories()

    // Each of 60 directories is made, opened and synced; from the top again each time it would be opened 3600 times.
    expect(attempt.mock.calls.length).toBeLessThan(200)
  })

  test('makes nothing whose whole name is too long to be removed by it', async () => {
    const name = `${'d'.repeat(255)}/`.repeat(15) + 'f'.repeat(255)

    await expect(target.createFile(name, 0o600)).rejects.toMatchObject({
      code: 'CLIENT_WRITE',
      message: expect.stringContaining('4095 bytes'),
    })
    await expect(target.createDirectory(name, 0o700)).rejects.toMatchObject({ code: 'CLIENT_WRITE' })
    expect(readdirSync(scratch.directory)).toEqual([])
  })

  test('never takes a directory that was not made here', async () => {
    mkdirSync(join(scratch.directory, 'd'))

    await expect(target.createFile('d/a', 0o600)).rejects.toMatchObject({
      code: 'CLIENT_WRITE',
      facts: { errno: 'EEXIST' },
    })
    expect(readdirSync(join(scratch.directory, 'd'))).toEqual([])
  })

  test('makes every directory above a file', async () => {
    await (await target.createFile('a/b/c/file', 0o600)).close()

    expect(readdirSync(join(scratch.directory, 'a/b/c'))).toEqual(['file'])
  })

  test('can be synced, directory by directory', async () => {
    await target.createDirectory('a/b', 0o755)
    await target.createDirectory('c', 0o755)

    await expect(target.syncDirectories()).resolves.toBeUndefined()
  })
})
