/**
 * A file system that takes names which differ in case for one: NTFS, by way of FUSE. Nothing of a backup is replaced by
 * another part of it there, and a backup that cannot be laid down is refused.
 *
 * Needs root, /dev/fuse and lowntfs-3g (Debian: ntfs-3g).
 */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { restoreBackup } from '../../lib/client/index.ts'
import { archive, mark, member } from '../archive/tar-forge.ts'

const IMAGE_BYTES = 32 * 1024 * 1024

let home: string
const mountPoint = (): string => join(home, 'mounted')

const mount = (): boolean => {
  home = mkdtempSync('/var/tmp/case-folding-')
  const image = join(home, 'image')
  writeFileSync(image, '')
  truncateSync(image, IMAGE_BYTES)
  mkdirSync(mountPoint())
  return (
    spawnSync('mkntfs', ['-q', '-F', '-f', image]).status === 0 &&
    spawnSync('lowntfs-3g', ['-o', 'ignore_case', image, mountPoint()]).status === 0
  )
}
const isMounted = process.geteuid?.() === 0 && existsSync('/dev/fuse') && mount()

afterAll(() => {
  if (home === undefined) return
  if (isMounted) spawnSync('umount', [mountPoint()])
  rmSync(home, { recursive: true, force: true })
})

const made = (...members: readonly Buffer[]): string => {
  const file = join(home, 'backup.tar')
  writeFileSync(file, archive(mark({ engine: 'directory', engineVersion: '1', entries: 2, bytes: 5 }), ...members))
  return file
}

const onlyThere = isMounted ? test : test.skip

beforeAll(() => {
  if (isMounted) mkdirSync(join(mountPoint(), 'work'))
})

onlyThere('the file system is one of those', () => {
  writeFileSync(join(mountPoint(), 'work', 'Probe'), '')

  expect(existsSync(join(mountPoint(), 'work', 'pROBE'))).toBe(true)
})

onlyThere.each<[string, readonly Buffer[]]>([
  ['two files', [member({ name: 'ibdata1' }, 'good'), member({ name: 'IBDATA1' }, 'evil')]],
  ['two files of two directories', [member({ name: 'shop/t.ibd' }, 'good'), member({ name: 'Shop/T.ibd' }, 'evil')]],
  ['a file and a directory', [member({ name: 'shop/t.ibd' }, 'good'), member({ name: 'SHOP' }, 'evil')]],
])('%s whose names differ in case alone are refused, and nothing is left behind', async (_, members) => {
  const target = join(mountPoint(), 'restored')

  const restored = restoreBackup({ file: made(...members), target })

  await expect(restored).rejects.toMatchObject({ code: 'CLIENT_WRITE', facts: { errno: 'EEXIST' } })
  expect(readdirSync(mountPoint()).filter((name) => name.startsWith('restored'))).toEqual([])
})

onlyThere('a backup without such names is restored there', async () => {
  const target = join(mountPoint(), 'well')

  await restoreBackup({ file: made(member({ name: 'ibdata1' }, 'good'), member({ name: 'shop/t.ibd' }, 'x')), target })

  expect(readdirSync(target).sort()).toEqual(['ibdata1', 'shop'])
})
