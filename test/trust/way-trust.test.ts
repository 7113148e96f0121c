import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

import { laxWay, lookAtDirectory } from '../../lib/trust/index.ts'

let scratch: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'way-'))
  mkdirSync(join(scratch, 'shared', 'own'), { recursive: true })
  writeFileSync(join(scratch, 'shared', 'own', 'login.cnf'), '')
  symlinkSync(join('shared', 'own'), join(scratch, 'link'))
})
afterEach(() => rmSync(scratch, { recursive: true }))

const FILE = ['shared', 'own', 'login.cnf'] as const

test('through directories of our own and sticky ones may be believed', async () => {
  expect(await laxWay(join(scratch, ...FILE))).toBeUndefined()
})

test.each([
  ['as it is', FILE],
  ['through a link beside it', ['link', 'login.cnf']],
])('through a directory in which everyone may rename is not, %s', async (_, names) => {
  const shared = join(scratch, 'shared')
  chmodSync(shared, 0o777)

  expect(await laxWay(join(scratch, ...names))).toEqual({
    problem: `of its directory ${shared}: everyone may replace what is in it (mode 0777)`,
    command: `chmod o-w ${shared}`,
  })
})

test('a directory is looked at for itself', async () => {
  const shared = join(scratch, 'shared')
  expect(await lookAtDirectory(shared)).toBeUndefined()
  chmodSync(shared, 0o1777)
  expect(await lookAtDirectory(shared)).toBeUndefined()
  chmodSync(shared, 0o777)
  expect(await lookAtDirectory(shared)).toMatchObject({ command: `chmod o-w ${shared}` })
})
