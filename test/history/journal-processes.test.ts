/** Several processes, and dead ones: no event lost, none doubled, each job ended once. */

import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'

import { readHistory } from '../../lib/history/index.ts'
import { ended, journalBytes, linesPerEvent, openJournal, scratchDirectory, started } from './journals.ts'
import { JournalProcess } from './processes.ts'

const KILLS = 40

test('four processes append while a fifth writes the journal anew: every event is there once', async () => {
  const directory = scratchDirectory()
  const compactor = new JournalProcess(['compact', directory])
  const appenders = [1, 2, 3, 4].map((number) => new JournalProcess(['append', directory, `p${number}`, '100']))

  await Promise.all(appenders.map((appender) => appender.ended()))
  compactor.child.stdin.end()
  const [rounds = ''] = await compactor.ended()

  const { jobs, damagedLines } = await readHistory(directory)
  expect(Number(rounds.split(' ')[1])).toBeGreaterThan(3)
  expect(damagedLines).toBe(0)
  expect(jobs).toHaveLength(400)
  for (const { job, state, peer, sid } of jobs) {
    expect({ job, state, sid, peer }).toEqual({ job, state: 'delivered', sid: `sid-${job}`, peer: job.split('-')[0] })
  }
  const lines = linesPerEvent(directory)
  expect(lines.size).toBe(800)
  expect(new Set(lines.values())).toEqual(new Set([1]))
  expect(readdirSync(directory)).toHaveLength(1)
})

test('four processes append and two write anew at the same time: every event is there once', async () => {
  const directory = scratchDirectory()
  const compactors = [1, 2].map(() => new JournalProcess(['compact', directory]))
  const appenders = [1, 2, 3, 4].map((number) => new JournalProcess(['append', directory, `p${number}`, '25']))

  await Promise.all(appenders.map((appender) => appender.ended()))
  for (const { child } of compactors) child.stdin.end()
  await Promise.all(compactors.map((compactor) => compactor.ended()))

  const lines = linesPerEvent(directory)
  expect(lines.size).toBe(200)
  expect(new Set(lines.values())).toEqual(new Set([1]))
  expect(readdirSync(directory)).toHaveLength(1)
})

test('killed at any moment: what was told is there, and the next start ends what was open', async () => {
  const directory = scratchDirectory()
  const told: string[] = []

  for (let round = 0; round < KILLS; round += 1) {
    const forever = new JournalProcess(['forever', directory, `k${round}`])
    await forever.hasTold(1 + ((round * 7) % 11))
    told.push(...(await forever.kill()))
  }
  const journal = await openJournal(directory)
  const before = (await readHistory(directory)).jobs
  const marked = await journal.markInterrupted()

  const states = new Map(before.map(({ job, state }) => [job, state]))
  for (const line of told) {
    const [event, job = ''] = line.split(' ')
    expect({ line, state: states.get(job) }).toEqual({
      line,
      state: event === 'ended' ? 'delivered' : expect.anything(),
    })
  }
  // At most one event of each process was on its way when it died.
  expect(before.length).toBeLessThanOrEqual(told.filter((line) => line.startsWith('started')).length + KILLS)
  expect(marked.map(({ job }) => job)).toEqual(before.filter(({ state }) => state === 'running').map(({ job }) => job))
  const { jobs } = await readHistory(directory)
  expect(jobs.filter(({ state }) => state === 'running')).toEqual([])
  expect(jobs).toHaveLength(before.length)
  expect(new Set(linesPerEvent(directory).values())).toEqual(new Set([1]))
  expect(readdirSync(directory).filter((name) => name.endsWith('.part'))).toEqual([])
})

describe('at the next start', () => {
  test('each of fifty jobs whose process was killed is ended once, as interrupted, and never again', async () => {
    const directory = scratchDirectory()

    for (let round = 0; round < 10; round += 1) {
      const jobs = [0, 1, 2, 3, 4].map((job) => `job-${round}-${job}`)
      const dead = jobs.map((job) => new JournalProcess(['start', directory, job]))
      await Promise.all(dead.map((one) => one.hasTold(1)))
      await Promise.all(dead.map((one) => one.kill()))
      const [next, later] = [await openJournal(directory), await openJournal(directory)]

      const marked = await next.markInterrupted()

      expect(marked.map(({ job, state }) => `${job} ${state}`).sort()).toEqual(jobs.map((job) => `${job} interrupted`))
      expect(await later.markInterrupted()).toEqual([])
      expect(await later.newest(`sid-${jobs[2]}`)).toMatchObject({ job: jobs[2], state: 'interrupted' })
      for (const journal of [next, later]) await journal.close()
    }

    const last = await openJournal(directory)
    expect(await last.markInterrupted()).toEqual([])
    const { jobs, damagedLines } = await readHistory(directory)
    expect(damagedLines).toBe(0)
    expect(new Set(jobs.map(({ state }) => state))).toEqual(new Set(['interrupted']))
    expect(new Set(jobs.map(({ job }) => job)).size).toBe(50)
    const ends = [...linesPerEvent(directory)].filter(([event]) => event.startsWith('ended'))
    expect(ends).toHaveLength(50)
    expect(new Set(ends.map(([, lines]) => lines))).toEqual(new Set([1]))
  })

  test('of several agents that start at once, exactly one ends each job whose process is gone', async () => {
    const directory = scratchDirectory()
    for (const job of ['a', 'b', 'c']) {
      const dead = new JournalProcess(['start', directory, job])
      await dead.hasTold(1)
      await dead.kill()
    }
    const alive = new JournalProcess(['start', directory, 'alive'])
    await alive.hasTold(1)
    const starters = [1, 2, 3].map(() => new JournalProcess(['mark', directory]))
    await Promise.all(starters.map((starter) => starter.hasTold(1)))

    for (const { child } of starters) child.stdin.write('go\n')
    const told = (await Promise.all(starters.map((starter) => starter.ended()))).flat()

    expect(told.filter((line) => line !== 'ready').sort()).toEqual(['marked a', 'marked b', 'marked c'])
    const { jobs } = await readHistory(directory)
    expect(jobs.map(({ job, state }) => `${job} ${state}`)).toEqual([
      'a interrupted',
      'b interrupted',
      'c interrupted',
      'alive running',
    ])
    alive.child.stdin.end()
    await alive.ended()
  })

  test('a job whose process was killed while it wrote the end is interrupted, unless that line is whole', async () => {
    const whole = scratchDirectory()
    await new JournalProcess(['append', whole, 'j', '1']).ended()
    const bytes = journalBytes(whole)
    const begun = bytes.indexOf('\n\n') + 1

    for (let cut = bytes.length; cut >= begun; cut -= 9) {
      const directory = scratchDirectory()
      writeFileSync(join(directory, 'history-000001.jsonl'), bytes.subarray(0, cut), { mode: 0o600 })
      const journal = await openJournal(directory)
      const isWhole = cut >= bytes.length - 1

      const marked = (await journal.markInterrupted()).map(({ job }) => job)

      expect({ cut, marked }).toEqual({ cut, marked: isWhole ? [] : ['j-0'] })
      expect(await journal.markInterrupted()).toEqual([])
      const { jobs } = await readHistory(directory)
      expect(jobs.map(({ job, state }) => `${job} ${state}`)).toEqual([`j-0 ${isWhole ? 'delivered' : 'interrupted'}`])
      await journal.close()
    }
  })

  test('a job of a living process is left alone, also when it is our own', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('mine'))

    expect(await journal.markInterrupted()).toEqual([])

    await journal.append(ended('mine'))
    expect((await readHistory(directory)).jobs.map(({ state }) => state)).toEqual(['delivered'])
  })

  test('an interrupted job keeps what was known of it', async () => {
    const directory = scratchDirectory()
    const dead = new JournalProcess(['start', directory, 'a'])
    await dead.hasTold(1)
    await dead.kill()
    const journal = await openJournal(directory)

    const [marked] = await journal.markInterrupted()

    expect(marked).toMatchObject({
      job: 'a',
      sid: 'sid-a',
      state: 'interrupted',
      peer: 'a',
      process: { pid: dead.pid },
    })
    expect((await readHistory(directory)).jobs).toEqual([marked])
    expect(await journal.markInterrupted()).toEqual([])
  })
})
