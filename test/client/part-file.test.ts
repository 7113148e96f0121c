import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

import { PartFile } from '../../lib/client/part-file.ts'

let directory: string
let path: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'part-file-'))
  path = join(directory, 'backup.tar')
})
afterEach(() => rmSync(directory, { recursive: true }))

test('has its name only after the commit, and is readable by its owner alone', async () => {
  const file = await PartFile.create(path)
  await file.write(Buffer.from('whole'))
  expect(existsSync(path)).toBe(false)

  await file.commit()

  expect(readFileSync(path, 'utf8')).toBe('whole')
  expect(lstatSync(path).mode & 0o777).toBe(0o600)
  expect(existsSync(`${path}.part`)).toBe(false)
})

test('leaves nothing when it is discarded', async () => {
  const file = await PartFile.create(path)
  await file.write(Buffer.from('half'))

  await file.discard()

  expect(existsSync(path)).toBe(false)
  expect(existsSync(`${path}.part`)).toBe(false)
})

test('stays when it is discarded after the commit, and goes when it is withdrawn', async () => {
  const file = await PartFile.create(path)
  await file.write(Buffer.from('whole'))
  await file.commit()

  await file.discard()
  const stayed = existsSync(path)
  await file.withdraw()

  expect(stayed).toBe(true)
  expect(existsSync(path)).toBe(false)
})

test('takes nothing of another away when it is withdrawn', async () => {
  const file = await PartFile.create(path)
  await file.write(Buffer.from('whole'))
  await file.commit()
  renameSync(path, `${path}.moved`)
  writeFileSync(path, 'of another')

  await file.withdraw()

  expect(readFileSync(path, 'utf8')).toBe('of another')
  expect(readFileSync(`${path}.moved`, 'utf8')).toBe('whole')
})

test('is durable and has no name yet when it is sealed', async () => {
  const file = await PartFile.create(path)
  await file.write(Buffer.from('whole'))

  await file.seal()

  expect([existsSync(path), existsSync(`${path}.part`)]).toEqual([false, true])
  await file.discard()
  expect(existsSync(`${path}.part`)).toBe(false)
})

test('replaces a plain file where it may, and only at the end', async () => {
  writeFileSync(path, 'older')

  const file = await PartFile.create(path, { replace: true })
  await file.write(Buffer.from('newer'))
  const before = readFileSync(path, 'utf8')
  await file.commit()

  expect([before, readFileSync(path, 'utf8')]).toEqual(['older', 'newer'])
})

test.each<[string, () => void]>([
  ['a directory', () => mkdirSync(path)],
  ['a link', () => symlinkSync('elsewhere', path)],
])('never replaces %s', async (_, given) => {
  given()

  await expect(PartFile.create(path, { replace: true })).rejects.toMatchObject({ code: 'CLIENT_TARGET' })
})

test('never replaces a file that is there', async () => {
  writeFileSync(path, 'older')

  await expect(PartFile.create(path)).rejects.toMatchObject({ code: 'CLIENT_TARGET' })

  expect(readFileSync(path, 'utf8')).toBe('older')
})

test('does not replace a file that appeared meanwhile', async () => {
  const file = await PartFile.create(path)
  writeFileSync(path, 'faster')

  await expect(file.commit()).rejects.toMatchObject({ code: 'CLIENT_TARGET' })

  expect(readFileSync(path, 'utf8')).toBe('faster')
  await file.discard()
})

test('does not replace a file that appeared after it was sealed', async () => {
  const file = await PartFile.create(path)
  await file.write(Buffer.from('whole'))
  await file.seal()
  writeFileSync(path, 'faster')

  await expect(file.commit()).rejects.toMatchObject({ code: 'CLIENT_TARGET' })
  await file.discard()

  expect(readFileSync(path, 'utf8')).toBe('faster')
  expect(existsSync(`${path}.part`)).toBe(false)
})

test('takes the place of what a killed run left behind', async () => {
  writeFileSync(`${path}.part`, 'left behind')

  const file = await PartFile.create(path)
  await file.write(Buffer.from('new'))
  await file.commit()

  expect(readFileSync(path, 'utf8')).toBe('new')
})

test('is not renamed by a run whose part was replaced by another', async () => {
  const slow = await PartFile.create(path)
  const second = await PartFile.create(path)
  await second.write(Buffer.from('second'))

  await expect(slow.commit()).rejects.toMatchObject({ code: 'CLIENT_TARGET' })
  await slow.discard() // must not take the other run's file away
  await second.commit()

  expect(readFileSync(path, 'utf8')).toBe('second')
})

test('does not write through a link that lies in its place', async () => {
  const elsewhere = join(directory, 'elsewhere')
  writeFileSync(elsewhere, 'untouched')
  symlinkSync(elsewhere, `${path}.part`)

  const file = await PartFile.create(path)
  await file.write(Buffer.from('backup'))
  await file.commit()

  expect(readFileSync(elsewhere, 'utf8')).toBe('untouched')
  expect(readFileSync(path, 'utf8')).toBe('backup')
})

test('says which directory is not there', async () => {
  await expect(PartFile.create(join(directory, 'missing', 'backup.tar'))).rejects.toMatchObject({
    code: 'CLIENT_WRITE',
    facts: { errno: 'ENOENT' },
  })
})
