import { describe, expect, test } from '@jest/globals'

import { monitorBlocks } from '../../lib/agent/monitor.ts'
import type { RememberedJob } from '../../lib/jobs/index.ts'
import { parseBlock } from '../../lib/protocol/index.ts'

const job = (sid: string, more: Partial<RememberedJob> = {}): RememberedJob => ({
  job: `job-of-${sid}`,
  sid,
  peer: '192.0.2.7:51234',
  engine: 'mariadb-backup',
  requested: { 'backup-level': 0 },
  state: 'delivered',
  startedAt: '2024-03-11T01:00:00.900Z',
  endedAt: '2024-03-11T01:01:56.100Z',
  bytes: 50_688,
  members: 12,
  process: { pid: 4711 },
  ...more,
})

const blocksOf = (...[jobs, filters]: Parameters<typeof monitorBlocks>): Record<string, string>[] =>
  monitorBlocks(jobs, filters)
    .slice(1)
    .map((block) => Object.fromEntries(parseBlock(block)))

const NO_FILTERS = { sid: undefined, type: undefined, newerThan: undefined, maxItems: undefined }

test('tells a backup in whole seconds, in the order of keys that deployed clients were given', () => {
  const [ready, block] = monitorBlocks([job('a')], NO_FILTERS)

  expect(ready?.toString()).toBe('READY\n')
  expect(block?.toString()).toBe(
    '8\nsid=a\ntype=full\nstart_time=1710118800\nend_time=1710118916\nbackup_size=50688\nstatus=success\nfiles=12\n' +
      'message=complete, and the client has confirmed every byte\n\n',
  )
})

test.each([
  ['delivered', 'success'],
  ['sent-unconfirmed', 'success'],
  ['failed', 'failure'],
  ['cancelled', 'failure'],
  ['interrupted', 'failure'],
  ['running', '4711'],
] as const)('calls a backup that is %s %s', (state, status) => {
  expect(blocksOf([job('a', { state })], NO_FILTERS)).toEqual([expect.objectContaining({ status })])
})

test('says -1 for what is not known yet', () => {
  const { endedAt: _ended, bytes: _bytes, members: _members, ...running } = job('a', { state: 'running' })

  expect(blocksOf([running], NO_FILTERS)).toEqual([
    expect.objectContaining({ end_time: '-1', backup_size: '-1', files: '-1' }),
  ])
})

test('makes every text fit for the wire, whatever a client or a program has said', () => {
  const [block] = blocksOf([job('two\nlines', { state: 'failed', msg: `refused:\n${'x'.repeat(5000)}` })], NO_FILTERS)

  expect(block?.['sid']).toBe('two\\nlines')
  expect(block?.['message']).toMatch(/^refused:\\nx+…$/)
})

describe('of several backups', () => {
  const JOBS = [
    job('monday', { startedAt: '2024-03-11T01:00:00.000Z' }),
    job('tuesday', { startedAt: '2024-03-12T01:00:00.000Z', requested: { 'backup-level': 1 } }),
    job('wednesday', { startedAt: '2024-03-13T01:00:00.000Z' }),
    job('tuesday', { startedAt: '2024-03-14T01:00:00.000Z', requested: {} }),
  ]
  const TUESDAY = Date.parse('2024-03-12T01:00:00.000Z') / 1000

  test.each([
    ['all, the newest first', {}, ['tuesday', 'wednesday', 'tuesday', 'monday']],
    ['those of one run', { sid: 'tuesday' }, ['tuesday', 'tuesday']],
    ['full ones, which is also what says nothing', { type: 'full' }, ['tuesday', 'wednesday', 'monday']],
    ['incremental ones', { type: 'incremental' }, ['tuesday']],
    ['those that began later than a second', { newerThan: TUESDAY }, ['tuesday', 'wednesday']],
    ['those of that second too, a second earlier', { newerThan: TUESDAY - 1 }, ['tuesday', 'wednesday', 'tuesday']],
    ['at most two', { maxItems: 2 }, ['tuesday', 'wednesday']],
    ['the newest two of those that were selected', { type: 'full', maxItems: 2 }, ['tuesday', 'wednesday']],
    ['no more than there are', { maxItems: 99 }, ['tuesday', 'wednesday', 'tuesday', 'monday']],
    ['none at most', { maxItems: 0 }, []],
    ['nothing of a run that never was', { sid: 'friday' }, []],
  ] as const)('tells %s', (_, filters, sids) => {
    expect(blocksOf(JOBS, { ...NO_FILTERS, ...filters }).map(({ sid }) => sid)).toEqual(sids)
  })
})

test('has nothing but READY to say where there is nothing to tell', () => {
  expect(Buffer.concat(monitorBlocks([], NO_FILTERS)).toString()).toBe('READY\n')
})
