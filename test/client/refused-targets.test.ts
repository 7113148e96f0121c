/** A place where no backup can be kept is refused before the agent hears of anything. */

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

import { type FetchOptions, fetchBackup } from '../../lib/client/index.ts'
import { canUnshare, launchWithTmpfs } from '../faults/namespaces.ts'
import { CLIENT_PROGRAM } from '../rig/agent-process.ts'
import { ScriptedAgent } from './scripted-agent.ts'

let directory: string
let agent: ScriptedAgent

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'refused-'))
  mkdirSync(join(directory, 'empty'))
  mkdirSync(join(directory, 'full'))
  writeFileSync(join(directory, 'full', 'ibdata1'), 'x')
  writeFileSync(join(directory, 'there'), 'x')
  symlinkSync('empty', join(directory, 'link'))
  agent = await ScriptedAgent.start(() => {
    throw new Error('the agent was asked')
  })
})
afterEach(async () => {
  await agent.close()
  rmSync(directory, { recursive: true })
})

type Names = Pick<FetchOptions, 'receiptFile'> & { readonly out?: string; readonly extract?: string }

test.each<[string, string, Names]>([
  ['a file that exists', 'CLIENT_TARGET', { out: 'there' }],
  ['a file whose directory does not', 'CLIENT_WRITE', { out: 'nowhere/backup.tar' }],
  ['a file in a directory that cannot be written', 'CLIENT_WRITE', { out: '/proc/self/backup.tar' }],
  ['a directory as a file', 'CLIENT_TARGET', { out: 'empty' }],
  ['the name of a directory as a file', 'CLI_USAGE', { out: 'empty/' }],
  ['a file without a name', 'CLI_USAGE', { out: '' }],
  ['a directory without a name', 'CLI_USAGE', { extract: '' }],
  ['a directory that is not empty', 'CLIENT_TARGET', { extract: 'full' }],
  ['a file as a directory', 'CLIENT_TARGET', { extract: 'there' }],
  ['a directory in one that cannot be written', 'CLIENT_TARGET', { extract: '/proc/self/restored' }],
  ['a receipt that exists', 'CLIENT_TARGET', { out: 'a.tar', receiptFile: 'there' }],
  ['a receipt whose directory does not', 'CLIENT_WRITE', { out: 'a.tar', receiptFile: 'nowhere/receipt' }],
  ['a receipt without a name', 'CLI_USAGE', { out: 'a.tar', receiptFile: '' }],
  ['a receipt with the name of the archive', 'CLI_USAGE', { out: 'a.tar', receiptFile: 'empty/../a.tar' }],
  ['the same by another way', 'CLI_USAGE', { out: 'link/a.tar', receiptFile: 'empty/a.tar' }],
  ['a receipt with the name of the half archive', 'CLI_USAGE', { out: 'a.tar', receiptFile: 'a.tar.part' }],
  ['an archive with the name of the half receipt', 'CLI_USAGE', { out: 'a.part', receiptFile: 'a' }],
  ['a receipt inside of what is unpacked', 'CLI_USAGE', { extract: 'empty', receiptFile: 'empty/receipt' }],
  ['a receipt in the place of what is unpacked', 'CLI_USAGE', { extract: 'new', receiptFile: 'new.part' }],
])('%s is refused as %s, and nothing is left', async (_, code, { out, extract, receiptFile }) => {
  const before = readdirSync(directory, { recursive: true }).sort()
  const placed = (name: string): string => (name === '' || name.startsWith('/') ? name : `${directory}/${name}`)
  const target = extract === undefined ? { file: placed(out ?? '') } : { directory: placed(extract) }
  const receipt = typeof receiptFile === 'string' ? { receiptFile: placed(receiptFile) } : {}

  await expect(fetchBackup({ host: agent.host, port: agent.port, target, ...receipt }).receipt).rejects.toMatchObject({
    code,
  })
  expect(agent.connections).toBe(0)
  expect(readdirSync(directory, { recursive: true }).sort()).toEqual(before)
})

const onlyRoot = canUnshare() ? test : test.skip

onlyRoot.each([
  ['a file', ['--out', 'small/backup.tar']],
  ['a directory', ['--extract', 'small/restored']],
  ['a receipt', ['--out', 'backup.tar', '--receipt-file', 'small/receipt']],
])('%s on a disk without any room is refused too', (_, options) => {
  mkdirSync(join(directory, 'small'))
  const [launcher = '', ...words] = launchWithTmpfs('small', '4k', 'ls -A small >&2')

  const { status, stderr } = spawnSync(
    launcher,
    [...words, process.execPath, CLIENT_PROGRAM, 'fetch', `${agent.host}:${agent.port}`, ...options],
    { cwd: directory, encoding: 'utf8' },
  )

  expect(stderr).toMatch(/^.*ENOSPC.*\[CLIENT_WRITE\]\n(.*\n)?$/)
  expect(status).toBe(7)
  expect(agent.connections).toBe(0)
})
