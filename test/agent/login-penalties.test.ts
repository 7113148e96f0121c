import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { LoginPenalties } from '../../lib/agent/login-penalties.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const SOURCE = '192.0.2.7'

/** So many wrong logins at the time 0. */
const after = (failures: number, penalties = new LoginPenalties()): LoginPenalties => {
  for (let time = 0; time < failures; time += 1) penalties.failed(SOURCE, 0)
  return penalties
}

test.each([
  [0, 0],
  [1, 0],
  [3, 0],
  [4, 1 * SECOND],
  [5, 2 * SECOND],
  [6, 4 * SECOND],
  [7, 4 * SECOND],
  [1000, 4 * SECOND],
])('after %d wrong logins the next connection waits %d ms', (failures, waitMs) => {
  expect(after(failures).turn(SOURCE, 0)).toBe(waitMs)
})

test('the next ones wait for their turns, and who would wait too long is refused', () => {
  const penalties = after(6)

  const turns = [1, 2, 3, 4].map(() => penalties.turn(SOURCE, 0))

  expect(turns).toEqual([4 * SECOND, 8 * SECOND, undefined, undefined])
  expect(penalties.turn(SOURCE, 4 * SECOND)).toBe(8 * SECOND) // one has had its turn: there is room for another
})

test('a turn that is given back is there for the next one, and no more than that', () => {
  const penalties = after(6)
  const taken = [penalties.turn(SOURCE, 0), penalties.turn(SOURCE, 0), penalties.turn(SOURCE, 0)]

  penalties.giveBack(SOURCE, 0)

  expect(taken).toEqual([4 * SECOND, 8 * SECOND, undefined])
  expect([penalties.turn(SOURCE, 0), penalties.turn(SOURCE, 0)]).toEqual([8 * SECOND, undefined])
  for (let time = 0; time < 10; time += 1) penalties.giveBack(SOURCE, 0)
  expect([penalties.turn(SOURCE, 0), penalties.turn(SOURCE, 0)]).toEqual([0, 4 * SECOND])
})

test('who comes when its time is over waits for nothing', () => {
  const penalties = after(4)

  expect(penalties.turn(SOURCE, 1 * SECOND)).toBe(0)
  expect(penalties.turn(SOURCE, 1 * SECOND)).toBe(1 * SECOND)
})

test('another source is not touched', () => {
  expect(after(9).turn('192.0.2.8', 0)).toBe(0)
})

test('one wrong login is forgotten a minute, all of them with a right one', () => {
  expect(after(6).turn(SOURCE, 2 * MINUTE - 1)).toBe(0) // its turn has long come
  const penalties = after(6)
  penalties.failed(SOURCE, 2 * MINUTE)
  expect(penalties.turn(SOURCE, 2 * MINUTE)).toBe(2 * SECOND) // as after the fifth
  penalties.forgive(SOURCE)
  expect(penalties.turn(SOURCE, 2 * MINUTE)).toBe(0)
  expect(penalties.size).toBe(0)
})

test('even the worst is forgotten after some minutes, and takes no room then', () => {
  const penalties = after(100_000)

  expect(penalties.turn(SOURCE, 10 * MINUTE)).toBe(0)
  expect(penalties.size).toBe(0)
})

test('a job that tries a wrong login in a loop delays its neighbours behind the same address, and locks nobody out', () => {
  const penalties = new LoginPenalties()
  let nowMs = 0
  const waits: number[] = []
  for (let round = 0; round < 500; round += 1) {
    const wait = penalties.turn(SOURCE, nowMs)
    // Each time somebody else comes a moment behind it.
    const neighbour = penalties.turn(SOURCE, nowMs + 1)
    waits.push(neighbour ?? Number.POSITIVE_INFINITY)
    nowMs += Math.max(wait ?? 0, neighbour ?? 0) + 10
    penalties.failed(SOURCE, nowMs)
  }

  expect(Math.max(...waits)).toBeLessThan(10 * SECOND)
})

describe('the table', () => {
  test('is bounded: the source that was not heard of for longest is forgotten', () => {
    const penalties = after(9, new LoginPenalties(3))

    for (const other of ['a', 'b']) for (let time = 0; time < 9; time += 1) penalties.failed(other, 0)
    penalties.failed(SOURCE, 0)
    penalties.failed('c', 0)

    expect(penalties.size).toBe(3)
    expect(penalties.turn('a', 0)).toBe(0)
    expect(penalties.turn(SOURCE, 0)).toBe(4 * SECOND)
  })

  test('holds some thousands, whatever comes', () => {
    const penalties = new LoginPenalties()

    for (let source = 0; source < 20_000; source += 1) penalties.failed(String(source), source)

    expect(penalties.size).toBe(4096)
  })
})

test('whoever tries one wrong login after the other waits less than a request may take, and has no more than one a second', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 50, maxLength: 400 }), (pauses) => {
      const penalties = new LoginPenalties()
      let nowMs = 0
      let tries = 0
      for (const pauseMs of pauses) {
        nowMs += pauseMs
        const waitMs = penalties.turn(SOURCE, nowMs)
        if (waitMs === undefined) continue
        expect(waitMs).toBeLessThanOrEqual(8 * SECOND)
        tries += 1
        nowMs += waitMs
        penalties.failed(SOURCE, nowMs)
      }
      expect(tries).toBeLessThanOrEqual(4 + nowMs / SECOND)
    }),
  )
})
