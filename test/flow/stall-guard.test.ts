import { beforeEach, describe, expect, test } from '@jest/globals'

import { type FlowObservation, StallGuard } from '../../lib/flow/index.ts'

const LIMITS = { lockedStallMs: 10_000, lockedWaitMs: 60_000, stallMs: 600_000 }

let now: number
let guard: StallGuard

beforeEach(() => {
  now = 1_000_000
  guard = new StallGuard(LIMITS, () => now)
})

const at = (ms: number) => {
  now = 1_000_000 + ms
}

const FLOWING: FlowObservation = { locked: false, producerWaiting: false, pending: true, bytesOut: 0 }
const HELD: FlowObservation = { locked: true, producerWaiting: true, pending: true, bytesOut: 0 }

describe('while the locked server waits', () => {
  test('10 s without a byte are the limit', () => {
    guard.look(HELD)
    at(9_999)
    expect(guard.look(HELD)).toBeUndefined()

    at(10_000)

    expect(guard.look(HELD)).toMatchObject({
      code: 'FLOW_STALLED_LOCKED',
      message: 'no byte left for 10.0 s while the locked server waited for it (limit 10.0 s)',
      facts: { stalledMs: 10_000, limitMs: 10_000, bytesOut: 0 },
      hint: expect.stringContaining('--spool-bytes'),
    })
  })

  test('a byte that leaves begins the 10 s anew', () => {
    guard.look(HELD)
    at(9_000)
    guard.look({ ...HELD, bytesOut: 1 })
    at(18_999)
    expect(guard.look({ ...HELD, bytesOut: 1 })).toBeUndefined()

    at(19_000)

    expect(guard.look({ ...HELD, bytesOut: 1 })).toMatchObject({ code: 'FLOW_STALLED_LOCKED' })
  })

  test('waits of a receiver that drips add up to 60 s', () => {
    for (let second = 0; second < 60; second += 1) {
      at(second * 1000)
      expect(guard.look({ ...HELD, bytesOut: second })).toBeUndefined()
    }

    at(60_000)

    expect(guard.look({ ...HELD, bytesOut: 60 })).toMatchObject({
      code: 'FLOW_STALLED_LOCKED',
      message: 'the locked server waited 60.0 s in all for a slow receiver (limit 60.0 s)',
      facts: { lockedWaitMs: 60_000 },
    })
  })

  test('only waits count, not the time between them', () => {
    for (let second = 0; second < 600; second += 2) {
      at(second * 1000)
      guard.look({ ...HELD, bytesOut: second })
      at(second * 1000 + 100)
      expect(guard.look({ ...HELD, producerWaiting: false, bytesOut: second + 1 })).toBeUndefined()
    }

    expect(guard.lockedWaitMs).toBe(30_000)
  })
})

test.each<[string, FlowObservation, FlowObservation]>([
  ['the locks are taken', { ...HELD, locked: false }, HELD],
  ['the spill is full', { ...HELD, producerWaiting: false }, HELD],
])('the 10 s begin only when %s', (_, before, after) => {
  guard.look(before)
  at(300_000)
  guard.look(after)
  at(309_999)
  expect(guard.look(after)).toBeUndefined()

  at(310_000)

  expect(guard.look(after)).toMatchObject({ code: 'FLOW_STALLED_LOCKED', facts: { stalledMs: 10_000 } })
})

test.each<[string, FlowObservation]>([
  ['the locks are free', { ...HELD, locked: false }],
  ['the spill has room', { ...HELD, producerWaiting: false }],
  ['neither holds', FLOWING],
  ['bytes wait that only the socket has', { ...FLOWING, pending: true }],
])('a receiver may stall for 600 s while %s', (_, observation) => {
  guard.look(observation)
  at(599_999)
  expect(guard.look(observation)).toBeUndefined()

  at(600_000)

  expect(guard.look(observation)).toMatchObject({
    code: 'FLOW_STALLED',
    message: 'no byte left for 600.0 s (limit 600.0 s)',
    facts: { stalledMs: 600_000, limitMs: 600_000 },
  })
})

test('a byte that leaves begins the 600 s anew', () => {
  guard.look(FLOWING)
  at(599_000)
  guard.look({ ...FLOWING, bytesOut: 7 })
  at(1_198_999)

  expect(guard.look({ ...FLOWING, bytesOut: 7 })).toBeUndefined()
})

test('a receiver that has nothing to take does not stall, however long', () => {
  const quiet = { ...FLOWING, locked: true, pending: false }
  guard.look(FLOWING)
  at(500_000)
  guard.look(quiet)
  at(5_000_000)
  expect(guard.look(quiet)).toBeUndefined()

  guard.look(FLOWING) // from here on it has
  at(5_599_999)

  expect(guard.look(FLOWING)).toBeUndefined()
})

test('a producer that waits is reason enough, though nobody counted the bytes that are pending', () => {
  const odd = { ...HELD, pending: false, locked: false }
  guard.look(odd)
  at(600_000)

  expect(guard.look(odd)).toMatchObject({ code: 'FLOW_STALLED' })
})

test('the first verdict stays', () => {
  guard.look(HELD)
  at(10_000)
  const verdict = guard.look(HELD)
  at(20_000)

  expect(verdict).toBeDefined()
  expect(guard.look({ ...FLOWING, bytesOut: 1_000 })).toBe(verdict)
})
