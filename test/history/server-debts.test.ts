import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'

import { ServerDebts } from '../../lib/history/index.ts'

let scratch: string
let directory: string
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'server-debts-'))
})
beforeEach(() => {
  directory = mkdtempSync(join(scratch, 'state-'))
  chmodSync(directory, 0o700)
})
afterAll(() => rmSync(scratch, { recursive: true }))

const DEBT = {
  server: 'uid /var/lib/mysql',
  settings: [{ name: 'wait_timeout', before: 600, during: 28_800 }],
  replica: true,
}

const fileOf = (): string => join(directory, readdirSync(directory).find((name) => name.startsWith('owed-')) ?? '')

/** As if another process had written it. */
const ofProcess = (process: object): void => {
  const text = JSON.parse(readFileSync(fileOf(), 'utf8'))
  writeFileSync(fileOf(), JSON.stringify({ ...text, process: { ...text.process, ...process } }))
}

test('a debt is there until it is paid, in a file of our own', async () => {
  const debts = await ServerDebts.open(directory)

  expect(await debts.owe(DEBT)).toBe(true)
  expect(await debts.of(DEBT.server)).toMatchObject(DEBT)
  expect(statSync(fileOf()).mode & 0o777).toBe(0o600)
  expect(await debts.of('another server')).toBeUndefined()

  await debts.paid(DEBT.server)
  expect(await debts.of(DEBT.server)).toBeUndefined()
  expect(readdirSync(directory)).toEqual([])
})

test('a server is owed by one process at a time', async () => {
  const debts = await ServerDebts.open(directory)
  await debts.owe(DEBT)

  expect(await debts.owe({ ...DEBT, settings: [] })).toBe(false)
  expect(await debts.of(DEBT.server)).toMatchObject(DEBT)
})

test('is left when its process is gone, and not while it lives', async () => {
  const debts = await ServerDebts.open(directory)
  await debts.owe(DEBT)
  ofProcess({ pid: process.ppid, startTicks: startTicksOf(process.ppid) })

  expect(await debts.isAnyLeft()).toBe(false)
  expect((await debts.of(DEBT.server))?.isLeft).toBe(false)

  ofProcess({ startTicks: '1' }) // a later process has its number
  expect(await debts.isAnyLeft()).toBe(true)
  expect((await debts.of(DEBT.server))?.isLeft).toBe(true)
})

test('one of our own is left when its job is over, and not while that runs', async () => {
  const debts = await ServerDebts.open(directory)
  await debts.owe(DEBT)
  expect(await debts.isAnyLeft()).toBe(false)

  debts.over(DEBT.server)

  expect((await debts.of(DEBT.server))?.isLeft).toBe(true)
})

test.each(['', 'no json', '{"v":2}', '{"v":1,"server":"s","settings":[{"name":1}],"replica":true}'])(
  'a file with %j in it is nothing, and goes',
  async (text) => {
    const debts = await ServerDebts.open(directory)
    await debts.owe(DEBT)
    writeFileSync(fileOf(), text)

    expect(await debts.isAnyLeft()).toBe(false)
    expect(readdirSync(directory)).toEqual([])
  },
)

test('what a killed process had begun to write is removed by the next', async () => {
  writeFileSync(join(directory, 'owed-0123456789abcdef.4194303.part'), '{')
  writeFileSync(join(directory, `owed-0123456789abcdef.${process.ppid}.part`), '{')

  await ServerDebts.open(directory)

  expect(readdirSync(directory)).toEqual([`owed-0123456789abcdef.${process.ppid}.part`])
})

const startTicksOf = (pid: number): string => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}
