import { describe, expect, test } from '@jest/globals'

import type { BackupError } from '../../lib/errors/index.ts'
import { type WatchFacts, Watchdogs } from '../../lib/jobs/watchdogs.ts'

const LIMITS = {
  startMs: 300_000,
  lockWaitMs: 1_800_000,
  hangMs: 120_000,
  lockedHangMs: 10_000,
  lockedStallMs: 10_000,
  lockedWaitMs: 60_000,
  stallMs: 600_000,
}

const COPYING: WatchFacts = {
  engine: { stage: 'START', files: 3, lastFile: 't.ibd', locked: false, waitingForLock: false, words: 40 },
  engineRuns: true,
  hasBegun: true,
  engineBytes: 1000,
  isFull: false,
  pending: false,
  bytesOut: 1000,
  moved: false,
}
const inStage = (stage: string, facts: Partial<WatchFacts['engine']>): WatchFacts => ({
  ...COPYING,
  engine: { ...COPYING.engine, stage, ...facts },
})

/** Looks once a second at what does not change; @returns when the dogs bark, and with what. */
const barkAt = (facts: WatchFacts, forSeconds: number): { second: number; code: string } | undefined => {
  let nowMs = 0
  const dogs = new Watchdogs(LIMITS, () => nowMs)
  for (let second = 0; second <= forSeconds; second += 1) {
    nowMs = second * 1000
    const failure: BackupError | undefined = dogs.look(facts)
    if (failure !== undefined) return { second, code: failure.code }
  }
  return undefined
}

describe('a job that does not move is stopped', () => {
  test.each<[string, WatchFacts, number, string]>([
    ['before its first byte', { ...COPYING, hasBegun: false, engineBytes: 0 }, 300, 'JOB_START_TIMEOUT'],
    ['while it copies', COPYING, 120, 'JOB_NO_PROGRESS'],
    ['while it waits for a lock', inStage('BLOCK_DDL', { waitingForLock: true }), 1800, 'JOB_LOCK_WAIT'],
    ['while the server is blocked', inStage('BLOCK_DDL', { locked: true }), 10, 'JOB_NO_PROGRESS'],
    ['while nobody can commit', inStage('BLOCK_COMMIT', { locked: true }), 10, 'JOB_NO_PROGRESS'],
    ['in FLUSH, which blocks one table at most', inStage('FLUSH', { locked: true }), 120, 'JOB_NO_PROGRESS'],
    [
      'because of its receiver, the server blocked',
      { ...inStage('BLOCK_COMMIT', { locked: true }), isFull: true, pending: true },
      10,
      'FLOW_STALLED_LOCKED',
    ],
    ['because of its receiver', { ...COPYING, isFull: true, pending: true }, 600, 'FLOW_STALLED'],
    ['because of its receiver, the engine gone', { ...COPYING, engineRuns: false, pending: true }, 600, 'FLOW_STALLED'],
  ])('%s', (_, facts, second, code) => {
    expect(barkAt(facts, 4000)).toEqual({ second, code })
  })
})

describe('a job goes on', () => {
  const goesOn = (step: (facts: WatchFacts, second: number) => WatchFacts): void => {
    let nowMs = 0
    const dogs = new Watchdogs(LIMITS, () => nowMs)
    for (let second = 0; second <= 4000; second += 5) {
      nowMs = second * 1000
      expect(dogs.look(step(COPYING, second))).toBeUndefined()
    }
  }

  test('as long as bytes come', () => {
    goesOn((facts, second) => ({ ...facts, engineBytes: second, bytesOut: second }))
  })

  test('as long as it says something, the server blocked or not', () => {
    goesOn((facts, second) => ({
      ...facts,
      engine: { ...facts.engine, locked: true, stage: 'BLOCK_DDL', words: second },
    }))
  })

  test('as long as the receiver takes a little, though a whole piece has not left', () => {
    goesOn((facts) => ({
      ...facts,
      ...{ engine: { ...facts.engine, locked: true, stage: 'START' }, isFull: false, pending: true, moved: true },
      engineRuns: false,
    }))
  })

  test('when the engine is gone and the receiver takes its time', () => {
    goesOn((facts, second) => ({ ...facts, engineRuns: false, pending: true, bytesOut: second }))
  })
})

test('who is kept waiting by the receiver owes no sign of life', () => {
  const slow = { ...COPYING, isFull: true, pending: true }
  let nowMs = 0
  const dogs = new Watchdogs(LIMITS, () => nowMs)

  for (let second = 0; second < 500; second += 1) {
    nowMs = second * 1000
    expect(dogs.look(slow)).toBeUndefined()
  }
})
