import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

import { StagingDirectory } from '../../lib/client/staging-directory.ts'

let parent: string
let target: string

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'staging-'))
  target = join(parent, 'restored')
})
afterEach(() => rmSync(parent, { recursive: true }))

test.each(['that does not exist', 'that is empty'])('becomes a directory %s only at the commit', async (which) => {
  if (which === 'that is empty') mkdirSync(target)
  const staging = await StagingDirectory.create(target)
  writeFileSync(join(staging.path, 'ibdata1'), 'data')
  expect(existsSync(join(target, 'ibdata1'))).toBe(false)

  await staging.commit()

  expect(readFileSync(join(target, 'ibdata1'), 'utf8')).toBe('data')
  expect(readdirSync(parent)).toEqual(['restored'])
})

test('leaves the target as it was when it is discarded', async () => {
  const staging = await StagingDirectory.create(target)
  writeFileSync(join(staging.path, 'ibdata1'), 'half')

  await staging.discard()

  expect(readdirSync(parent)).toEqual([])
})

test.each([
  ['holds something', () => mkdirSync(join(target, 'mine'), { recursive: true })],
  ['is a file', () => writeFileSync(target, '')],
  ['has a part from an earlier run beside it', () => mkdirSync(`${target}.part`)],
])('refuses a target that %s', async (_, given) => {
  given()

  await expect(StagingDirectory.create(target)).rejects.toMatchObject({
    code: 'CLIENT_TARGET',
    hint: expect.any(String),
  })
})

test('refuses a mount point, which cannot be renamed over, and says what to do', async () => {
  await expect(StagingDirectory.create('/dev/shm')).rejects.toMatchObject({ code: 'CLIENT_TARGET' })
})

test('leaves no directory of that name when the name cannot be made durable', async () => {
  const staging = await StagingDirectory.create(target, async () => {
    throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' })
  })
  writeFileSync(join(staging.path, 'ibdata1'), 'whole')

  const committed = staging.commit()

  await expect(committed).rejects.toMatchObject({ code: 'CLIENT_TARGET', facts: { errno: 'EIO' } })
  await expect(committed).rejects.toThrow(/durable/)
  await staging.discard()
  expect(readdirSync(parent)).toEqual([])
})

test('is not taken away by a discard behind its commit', async () => {
  const staging = await StagingDirectory.create(target)
  await staging.commit()

  await staging.discard()

  expect(readdirSync(parent)).toEqual(['restored'])
})
