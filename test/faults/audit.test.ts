import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from '@jest/globals'

import { member, wholeBackup } from '../archive/tar-forge.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { AgentHome, type HistoryRow } from './agent-home.ts'
import { auditRows } from './history-audit.ts'
import { judgeArchive } from './judge-archive.ts'
import { Tally } from './tally.ts'

const scratch = makeGuardedDirectory('audit')
afterAll(() => removeGuardedDirectory(scratch))

const SHA = 'a'.repeat(64)

describe('the audit of a history', () => {
  const row = (changes: Partial<HistoryRow> = {}): HistoryRow => ({ sid: 'one', state: 'failed', ...changes })
  const job = { sid: 'one', states: ['failed', 'interrupted'] }

  test('is content with one row for each job, ended as expected', () => {
    expect(auditRows([row()], [job])).toEqual([])
    expect(
      auditRows([row({ state: 'delivered', sha256: SHA })], [{ ...job, states: ['delivered'], received: SHA }]),
    ).toEqual([])
  })

  test.each<[string, HistoryRow[], object, RegExp]>([
    ['a job without a row', [], {}, /no row/],
    ['a job with two rows', [row(), row()], {}, /2 rows/],
    ['a job that nobody asked for', [row(), row({ sid: 'two' })], {}, /two: a job that nobody asked for/],
    ['a job that has not ended', [row({ state: 'running' })], { states: ['running'] }, /still running/],
    ['another end than expected', [row({ state: 'cancelled' })], {}, /is cancelled/],
    [
      'a delivery that did not arrive',
      [row({ state: 'delivered' })],
      { states: ['delivered'] },
      /the client has no backup/,
    ],
    ['a failure that arrived', [row()], { received: SHA }, /the client has a whole backup/],
    [
      'another archive than the one that arrived',
      [row({ state: 'sent-unconfirmed', sha256: 'b'.repeat(64) })],
      { states: ['sent-unconfirmed'], received: SHA },
      /another digest/,
    ],
  ])('notices %s', (_, rows, changes, problem) => {
    expect(auditRows(rows, [{ ...job, ...changes }]).join()).toMatch(problem)
  })
})

describe('the judgement of an archive', () => {
  const judged = async (bytes: Buffer | undefined, changes: object = {}, agent: object = {}) => {
    const tally = new Tally()
    const final = join(scratch, `judged-${Math.random()}.tar`)
    if (bytes !== undefined) writeFileSync(final, bytes)
    const client = { final, hasFinal: bytes !== undefined, exitCode: 5, report: undefined, ...changes }
    const sha256 = await judgeArchive(client, agent, tally, 'here')
    return { sha256, charges: tally.charges('falseComplete') }
  }

  test('knows a whole one, and its digest', async () => {
    const { sha256, charges } = await judged(wholeBackup(), { exitCode: 0 })

    expect({ charges, digits: sha256?.length }).toEqual({ charges: [], digits: 64 })
  })

  test('has nothing to say where there is no file and nobody says so', async () => {
    expect(await judged(undefined)).toEqual({ sha256: undefined, charges: [] })
  })

  test.each<[string, Buffer | undefined, object, object, RegExp]>([
    ['a cut file', wholeBackup().subarray(0, 3000), {}, {}, /verify refuses it/],
    [
      'a file that is a whole tar, but no whole backup',
      Buffer.concat([member({}, 'x'), Buffer.alloc(1024)]),
      {},
      {},
      /verify/,
    ],
    ['a success without a file', undefined, { exitCode: 0 }, {}, /there is no file/],
    ['a receipt without a file', undefined, { report: { status: 'COMPLETE' } }, {}, /there is no file/],
    [
      'a receipt with another digest',
      wholeBackup(),
      { report: { status: 'COMPLETE', sha256: SHA } },
      {},
      /another digest/,
    ],
    ['an agent that made another archive', wholeBackup(), {}, { sha256: SHA }, /the agent has another digest/],
    ['an agent that made more', wholeBackup(), {}, { bytes: 1 }, /the agent made 1 bytes/],
  ])('does not fall for %s', async (_, bytes, changes, agent, problem) => {
    const { sha256, charges } = await judged(bytes, changes, agent)

    expect(sha256).toBeUndefined()
    expect(charges.join()).toMatch(problem)
  })
})

test('what an agent leaves in its directories is found, and its history is no leftover', () => {
  const path = join(scratch, 'home')
  const home = new AgentHome(path, { encodings: ['octet'], history: true, spill: true })
  mkdirSync(join(home.temporary, 'kv-backup-agent-1-x'))
  writeFileSync(join(home.spool, '.scratch-1'), '')
  writeFileSync(join(home.state, 'history-000001.jsonl'), '')
  writeFileSync(join(home.state, 'history-000002.x.part'), '')

  expect(home.leftovers()).toEqual([
    'temporary/kv-backup-agent-1-x/',
    'spool/.scratch-1',
    'state/history-000002.x.part',
  ])
})
