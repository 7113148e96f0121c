import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

import { Journal, readHistory } from '../../lib/history/index.ts'
import { JobMemory } from '../../lib/jobs/index.ts'
import { silentLogger } from '../../lib/log/index.ts'

let scratch: string
let directory: string
let memory: JobMemory

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'job-memory-'))
  directory = join(scratch, 'state')
  const journal = await Journal.open({ directory, now: Date.now, newId: randomUUID })
  memory = new JobMemory(journal, silentLogger(), Date.now)
})
afterEach(async () => {
  await memory.close()
  rmSync(scratch, { recursive: true })
})

const begin = (job: string): Promise<void> =>
  memory.started({ job, sid: `sid of ${job}`, peer: 'here', engine: 'directory', requested: {} })
const loseTheDisk = (): void => rmSync(directory, { recursive: true })
const giveItBack = (): void => void mkdirSync(directory, { mode: 0o700 })
const states = async (): Promise<string[]> =>
  (await readHistory(directory)).jobs.map(({ job, state }) => `${job} ${state}`)

test('a job that cannot be written down does not begin, and the agent says so until one can', async () => {
  loseTheDisk()

  await expect(begin('first')).rejects.toMatchObject({ code: 'HISTORY_DIRECTORY' })
  const lost = memory.state
  giveItBack()
  await begin('second')

  expect([lost, memory.state]).toEqual(['degraded', 'ok'])
  expect(await states()).toEqual(['second running'])
})

test('an end that cannot be written down is told all the same, and written when it can be', async () => {
  await begin('first')
  loseTheDisk()

  await memory.ended('first', { outcome: 'delivered' })
  const lost = memory.state
  const told = await memory.newest('sid of first')
  giveItBack()
  await begin('second')

  expect([lost, told?.state, memory.state]).toEqual(['degraded', 'delivered', 'ok'])
  expect(await states()).toEqual(['first delivered', 'second running'])
})

test('an end that is owed is written at the latest when the agent ends', async () => {
  await begin('first')
  loseTheDisk()
  await memory.ended('first', { outcome: 'failed', code: 'JOB_CANCELLED' })
  giveItBack()

  await memory.close()

  expect(await states()).toEqual(['first failed'])
})

test('without a history nothing is written, and that is said', async () => {
  const forgetful = new JobMemory(undefined, silentLogger(), Date.now)
  await forgetful.started({ job: 'only', sid: 'sid', peer: 'here', engine: 'directory', requested: {} })
  await forgetful.ended('only', { outcome: 'sent-unconfirmed' })

  expect(forgetful.state).toBe('off')
  expect((await forgetful.newest('sid'))?.state).toBe('sent-unconfirmed')
})
