import { expect, test } from '@jest/globals'

import { AwakeClock } from '../../lib/jobs/awake-clock.ts'
import { Watchdogs } from '../../lib/jobs/watchdogs.ts'

const LIMITS = {
  startMs: 300_000,
  lockWaitMs: 1_800_000,
  hangMs: 120_000,
  lockedHangMs: 10_000,
  lockedStallMs: 10_000,
  lockedWaitMs: 60_000,
  stallMs: 600_000,
}

/** A server that is blocked, a backup program and a client of which nothing is heard. */
const STILL = {
  engine: { stage: 'BLOCK_COMMIT', locked: true, waitingForLock: false, words: 7, files: 3, lastFile: undefined },
  engineRuns: true,
  hasBegun: true,
  engineBytes: 5,
  isFull: false,
  pending: true,
  bytesOut: 1,
  moved: false,
}

let ms = 0
const lookAfter = (clock: AwakeClock, dogs: Watchdogs, waitMs: number): string | undefined => {
  ms += waitMs
  clock.tick()
  return dogs.look(STILL)?.code
}

test('nobody is given up for the time in which the agent itself was stopped', () => {
  const clock = new AwakeClock(() => ms)
  const dogs = new Watchdogs(LIMITS, clock.nowMs)
  lookAfter(clock, dogs, 250)

  expect(lookAfter(clock, dogs, 3_600_000)).toBeUndefined()
})

test('but for as long as it watched', () => {
  const clock = new AwakeClock(() => ms)
  const dogs = new Watchdogs(LIMITS, clock.nowMs)
  lookAfter(clock, dogs, 250)
  lookAfter(clock, dogs, 3_600_000)

  const codes = Array.from({ length: 41 }, () => lookAfter(clock, dogs, 250))

  expect(codes.slice(0, 38)).toEqual(Array(38).fill(undefined))
  expect(codes.at(-1)).toBe('JOB_NO_PROGRESS')
})
