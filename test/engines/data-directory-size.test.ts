import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { afterAll, describe, expect, test } from '@jest/globals'

import { dataDirectoryBytes } from '../../lib/engines/data-directory-size.ts'
import { Scratch } from './stand-ins.ts'

const scratch = new Scratch()
afterAll(() => scratch.remove())

let made = 0
/** A directory with files of these sizes in it. */
const directoryOf = (files: Record<string, number>): string => {
  made += 1
  const root = scratch.directory(`data-${made}`)
  for (const [name, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), '')
    truncateSync(join(root, name), bytes) // sparse: what counts is the size, not the disk
  }
  return root
}

const always = (): boolean => true

describe('the bytes that a backup will copy', () => {
  test.each([
    ['the system tablespace', { ibdata1: 5_000_000_000, ibdata2: 1 }, 5_000_000_001],
    ['undo and Aria logs', { undo001: 10, undo_002: 20, 'aria_log.00000001': 40, aria_log_control: 80 }, 150],
    [
      'tables of InnoDB',
      { 'mysql.ibd': 1, 'shop/t.ibd': 2, 'shop/t#P#p0.ibd': 4, 'shop/t.frm': 8, 'shop/t.par': 16 },
      31,
    ],
    ['tables of MyISAM and Aria', { 'shop/m.MYD': 1, 'shop/m.MYI': 2, 'shop/a.MAD': 4, 'shop/a.MAI': 8 }, 15],
    ['tables of other engines', { 'a/c.CSV': 1, 'a/c.CSM': 2, 'a/z.ARZ': 4, 'a/z.ARM': 8, 'a/g.MRG': 16 }, 31],
    ['what describes databases and triggers', { 'a/db.opt': 1, 'a/t.TRG': 2, 'a/t.TRN': 4 }, 7],
    ['databases named like a file', { 'undo_shop/t.ibd': 1, 'ibdata/t.ibd': 2, 'aria_log/t.ibd': 4 }, 7],
  ])('count %s', async (_, files, bytes) => {
    expect(await dataDirectoryBytes(directoryOf(files), always)).toBe(bytes)
  })

  test.each([
    ['the redo log', { ib_logfile0: 100, ib_logfile1: 100, '#innodb_redo/#ib_redo7': 100 }],
    ['binary logs', { 'bin.000001': 100, 'bin.index': 100, 'binlog.000001': 100, 'relay-bin.000001': 100 }],
    [
      'temporary tables',
      { ibtmp1: 100, '#sql-1_2.ibd': 100, 'shop/#sql-1_2.frm': 100, '#innodb_temp/temp_1.ibt': 100 },
    ],
    ['what else lies about', { 'host.pid': 100, 'server.sock': 100, 'shop/dump.sql': 100, 'shop/t.ibd.old': 100 }],
    ['what lies deeper than tables do', { 'shop/old/t.ibd': 100 }],
  ])('do not count %s', async (_, files) => {
    expect(await dataDirectoryBytes(directoryOf({ ...files, ibdata1: 7 }), always)).toBe(7)
  })

  test('count a tablespace that lies elsewhere, with the file that says where', async () => {
    const elsewhere = join(directoryOf({ 'shop/far.ibd': 4096 }), 'shop/far.ibd')
    const root = directoryOf({ 'shop/t.ibd': 1 })
    writeFileSync(join(root, 'shop/far.isl'), elsewhere)
    writeFileSync(join(root, 'shop/gone.isl'), '/nonexistent/gone.ibd')
    writeFileSync(join(root, 'shop/odd.isl'), 'x'.repeat(5000))

    const links = elsewhere.length + '/nonexistent/gone.ibd'.length + 5000

    expect(await dataDirectoryBytes(root, always)).toBe(1 + 4096 + links)
  })

  test('count a database behind a link, and pass over a link to nothing', async () => {
    const root = directoryOf({ ibdata1: 1 })
    symlinkSync(directoryOf({ 't.ibd': 2 }), join(root, 'shop'))
    symlinkSync('/nonexistent', join(root, 'gone'))
    symlinkSync(root, join(root, 'loop'))

    expect(await dataDirectoryBytes(root, always)).toBe(3)
  })

  test.each([
    ['there is no such directory', '/nonexistent'],
    ['it is none', '/etc/hosts'],
  ])('are unknown when %s', async (_, directory) => {
    expect(await dataDirectoryBytes(directory, always)).toBeUndefined()
  })

  test('are not looked for any more when nobody wants to know', async () => {
    const root = directoryOf({ 'a/1.ibd': 1, 'a/2.ibd': 1, 'a/3.ibd': 1, 'a/4.ibd': 1 })
    let asked = 0

    const bytes = await dataDirectoryBytes(root, () => {
      asked += 1
      return asked < 2
    })

    expect([bytes, asked]).toEqual([undefined, 2])
  })
})
