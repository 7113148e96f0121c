import { copyFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'

import { dataIdentityOf } from '../../lib/engines/data-identity.ts'
import { Scratch } from './stand-ins.ts'

const scratch = new Scratch()
afterAll(() => scratch.remove())

test('a data directory keeps its name while it lives, and another one at its place has another', async () => {
  const datadir = scratch.directory('data')
  const file = join(datadir, 'ibdata1')
  writeFileSync(file, 'system tablespace')
  const name = await dataIdentityOf({ datadir })

  writeFileSync(file, 'written to')
  utimesSync(file, 1, 1)
  const written = await dataIdentityOf({ datadir })
  renameSync(datadir, `${datadir}-moved`)
  const moved = await dataIdentityOf({ datadir: `${datadir}-moved` })
  // Put back as a restored backup is: a new file, often with the inode of the old one.
  copyFileSync(join(`${datadir}-moved`, 'ibdata1'), join(scratch.path, 'backup'))
  rmSync(join(`${datadir}-moved`, 'ibdata1'))
  copyFileSync(join(scratch.path, 'backup'), join(`${datadir}-moved`, 'ibdata1'))
  const restored = await dataIdentityOf({ datadir: `${datadir}-moved` })

  expect(name).toMatch(/^ibdata1-\d+-\d+$/)
  expect([written, moved]).toEqual([name, name])
  expect(restored).toMatch(/^ibdata1-\d+-\d+$/)
  expect(restored).not.toBe(name)
})

test.each([
  ['is not there', { datadir: '/nowhere' }],
  ['is nowhere said', { defaultsFile: '/etc/some.cnf' }],
  ['has a socket that nobody listens on', { socket: '/nowhere/mysqld.sock' }],
])('a data directory that %s has no name', async (_, settings) => {
  expect(await dataIdentityOf(settings)).toBeUndefined()
})
