import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, test } from '@jest/globals'

import { JobMemory } from '../../lib/jobs/index.ts'
import { silentLogger } from '../../lib/log/index.ts'
import { ended, newId, openJournal, scratchDirectory, started } from '../history/journals.ts'

const START = Date.UTC(2026, 2, 1, 12)

const beginning = (job: string) => {
  const { event: _, ...rest } = started(job)
  return rest
}

describe('all that is remembered', () => {
  test('without a history is what this agent has done, in the order in which it began', async () => {
    let nowMs = START
    const memory = new JobMemory(undefined, silentLogger(), () => (nowMs += 1000))
    await memory.started(beginning('first'))
    await memory.started(beginning('second'))
    await memory.ended('first', { outcome: 'delivered', bytes: 7 })

    expect(await memory.all()).toEqual([
      expect.objectContaining({ job: 'first', state: 'delivered', bytes: 7, process: { pid: process.pid } }),
      expect.objectContaining({ job: 'second', state: 'running', process: { pid: process.pid } }),
    ])
  })

  test('with a history holds the jobs of other agents, and calls those interrupted whose process is gone', async () => {
    const directory = scratchDirectory()
    const child = spawn('sleep', ['60'], { stdio: 'ignore' })
    const other = await openJournal(directory, { pid: child.pid as number })
    await other.append(started('of-another-agent'))
    await other.append(ended('of-another-agent'))
    await other.append(started('left-behind'))
    const memory = new JobMemory(await openJournal(directory, { newId }), silentLogger(), () => START)
    await memory.started(beginning('own'))

    const before = await memory.all()
    child.kill('SIGKILL')
    await once(child, 'close')
    const after = await memory.all()

    expect(before.map(({ job, state, process: { pid } }) => [job, state, pid])).toEqual([
      ['of-another-agent', 'delivered', child.pid],
      ['left-behind', 'running', child.pid],
      ['own', 'running', process.pid],
    ])
    expect(after.map(({ job, state }) => [job, state])).toEqual([
      ['of-another-agent', 'delivered'],
      ['left-behind', 'interrupted'],
      ['own', 'running'],
    ])
  })
})
