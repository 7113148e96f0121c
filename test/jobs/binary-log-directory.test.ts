import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { binaryLogDirectory } from '../../lib/jobs/binary-log-directory.ts'

let scratch: string
beforeAll(() => {
  scratch = realpathSync(mkdtempSync(join(tmpdir(), 'binary-log-directory-')))
  for (const name of ['data', 'logs/shop', 'logs-of-others', 'etc']) mkdirSync(join(scratch, name), { recursive: true })
  symlinkSync(join(scratch, 'data'), join(scratch, 'link-to-data'))
  symlinkSync(join(scratch, 'etc'), join(scratch, 'logs', 'escape'))
})
afterAll(() => rmSync(scratch, { recursive: true }))

const chosen = (directory: string | undefined, allowed: readonly string[] = []): Promise<string> =>
  binaryLogDirectory(
    { binlogBasename: join(scratch, 'data', 'binlog'), dataDirectory: join(scratch, 'data') },
    {
      directory: directory?.startsWith('@') ? join(scratch, directory.slice(1)) : directory,
      allowed: allowed.map((name) => join(scratch, name)),
    },
  )

test.each<[string | undefined, readonly string[], string]>([
  [undefined, [], 'data'],
  ['@data', [], 'data'],
  ['@data/', [], 'data'],
  ['@data/../data/.', [], 'data'],
  ['@link-to-data', [], 'data'],
  ['@logs/shop', ['logs'], 'logs/shop'],
  ['@logs', ['etc', 'logs'], 'logs'],
])('%j, with %j allowed, is read in %s', async (asked, allowed, place) => {
  expect(await chosen(asked, allowed)).toBe(join(scratch, place))
})

test.each<[string, readonly string[]]>([
  ['@logs/shop', []],
  ['@etc', ['logs']],
  ['@logs-of-others', ['logs']],
  ['@logs/../etc', ['logs']],
  ['@logs/escape', ['logs']],
  ['@logs', ['logs/shop']],
  ['@nowhere', ['logs']],
  ['data', ['data']],
  ['/', ['logs']],
])('%j, with %j allowed, is refused, and the refusal says how to allow it', async (asked, allowed) => {
  await expect(chosen(asked, allowed)).rejects.toMatchObject({
    code: 'AGENT_NOT_ALLOWED',
    hint: expect.stringMatching(/binlog-directories.*\[allow\]/),
  })
})

test.each(['.', '..', '/srv/logs.'])('%j stands whole in its refusal', async (asked) => {
  await expect(chosen(asked, [])).rejects.toThrow(`mysql-binlog-path: "${asked}"`)
})
