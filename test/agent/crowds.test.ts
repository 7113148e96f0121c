import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { type Crowd, Crowds, type Waiting } from '../../lib/agent/crowds.ts'

/** Crowds of those who came in these orders. */
const crowdsOf = (...orders: readonly (readonly number[])[]): { crowds: Crowds<Waiting>; all: Crowd<Waiting>[] } => {
  const crowds = new Crowds<Waiting>()
  const all = orders.map((): Crowd<Waiting> => ({ waiting: new Set() }))
  const arrivals = orders.flatMap((ones, at) => ones.map((order) => ({ order, crowd: all[at] as Crowd<Waiting> })))
  for (const { order, crowd } of arrivals.sort((one, other) => one.order - other.order)) crowds.join(crowd, { order })
  return { crowds, all }
}

/** The orders of those who are sent away, one after the other. */
const sentAway = (
  { crowds, all }: ReturnType<typeof crowdsOf>,
  count: number,
  mayGo: (one: Waiting) => boolean = () => true,
): number[] => {
  const orders: number[] = []
  for (let time = 0; time < count; time += 1) {
    const one = crowds.next(mayGo)
    if (one === undefined) break
    orders.push(one.order)
    for (const crowd of all) crowds.leave(crowd, one)
  }
  return orders
}

test('nobody has to leave where nobody is', () => {
  expect(sentAway(crowdsOf([]), 3)).toEqual([])
})

test('the oldest of the largest crowd leaves, also when somebody of a small one is older', () => {
  expect(sentAway(crowdsOf([1], [2, 5, 6], [3, 4]), 1)).toEqual([2])
})

test('a crowd shrinks to the size of the next one before that one loses anybody', () => {
  expect(sentAway(crowdsOf([1], [2, 5, 6, 8], [3, 4]), 2)).toEqual([2, 5])
  expect(sentAway(crowdsOf([1], [2, 5, 6, 8], [3, 4]), 4)).toEqual([2, 5, 3, 6])
})

test('of many sources with one each the oldest leaves', () => {
  expect(sentAway(crowdsOf([7], [3], [5], [4]), 2)).toEqual([3, 4])
})

test('who may not be sent away stays, and so do those behind it', () => {
  expect(sentAway(crowdsOf([1], [2, 3], [4, 5, 6]), 9, ({ order }) => order !== 4)).toEqual([2, 1, 3])
})

test('more than there are is everybody', () => {
  const given = crowdsOf([1, 4], [2], [])

  expect(sentAway(given, 99)).toEqual([1, 2, 4])
  expect(given.crowds.size).toBe(0)
})

describe('whatever comes and goes', () => {
  /** A source joins, or the oldest or newest of it leaves. */
  const steps = fc.array(
    fc.record({ source: fc.nat(6), does: fc.constantFrom('join', 'join', 'join', 'oldest', 'newest') }),
    { maxLength: 120 },
  )

  test('the next one is the oldest of a largest crowd, and all are counted', () => {
    fc.assert(
      fc.property(steps, (given) => {
        const { crowds, all } = crowdsOf([], [], [], [], [], [], [])
        let order = 0
        for (const { source, does } of given) {
          const crowd = all[source] as Crowd<Waiting>
          if (does === 'join') {
            order += 1
            crowds.join(crowd, { order })
          } else {
            const one = [...crowd.waiting].at(does === 'oldest' ? 0 : -1)
            if (one !== undefined) crowds.leave(crowd, one)
          }
        }

        const largest = Math.max(...all.map(({ waiting }) => waiting.size))
        const oldest = all
          .filter(({ waiting }) => waiting.size === largest)
          .map(({ waiting }) => [...waiting][0]?.order)
        expect(crowds.size).toBe(all.reduce((sum, { waiting }) => sum + waiting.size, 0))
        expect(crowds.next(() => true)?.order).toBe(largest === 0 ? undefined : Math.min(...(oldest as number[])))
      }),
    )
  })
})
