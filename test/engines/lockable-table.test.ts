import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { afterAll, expect, test } from '@jest/globals'

import { findLockableTable } from '../../lib/engines/lockable-table.ts'
import { Scratch } from './stand-ins.ts'

const scratch = new Scratch()
afterAll(() => scratch.remove())

let directories = 0
const directoryWith = (files: readonly string[]): string => {
  directories += 1
  const directory = scratch.directory(`data-${directories}`)
  for (const file of ['ibdata1', 'shop/t.ibd', 'shop/t.frm', 'shop/db.opt', ...files]) {
    mkdirSync(dirname(join(directory, file)), { recursive: true })
    writeFileSync(join(directory, file), '')
  }
  return directory
}

test.each(['shop/notes.MYD', 'log/lines.CSV', 'old/orders.ARZ', '@0023odd/t.MYD'])('finds %s', async (file) => {
  expect(await findLockableTable(directoryWith([file]))).toBe(file)
})

test.each([
  ['only InnoDB', []],
  ['Aria, which has a log', ['shop/a.MAD', 'shop/a.MAI']],
  ["the server's own tables", ['mysql/general_log.CSV', 'mysql/old.MYD', 'sys/x.MYD', 'performance_schema/x.MYD']],
  ['temporary tables', ['shop/#sql-1.MYD', '#tmp/x.MYD']],
  ['a file at the top', ['x.MYD']],
])('finds nothing where there is %s', async (_, files) => {
  expect(await findLockableTable(directoryWith(files))).toBeUndefined()
})

test('looks into a database that lies elsewhere, and past one that is gone', async () => {
  const directory = directoryWith([])
  symlinkSync(join(directory, 'nowhere'), join(directory, 'dropped'))
  symlinkSync(join(directoryWith(['far/notes.MYD']), 'far'), join(directory, 'zlinked'))

  expect(await findLockableTable(directory)).toBe('zlinked/notes.MYD')
})

test('says nothing of a directory that is not there, or is none', async () => {
  const directory = directoryWith([])

  expect(await findLockableTable(join(directory, 'missing'))).toBeUndefined()
  expect(await findLockableTable(join(directory, 'ibdata1'))).toBeUndefined()
})
