import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { chooseVictims, type Crowd, type Waiting } from '../../lib/agent/victims.ts'

/** Crowds of those who came in these orders. */
const crowds = (...orders: readonly (readonly number[])[]): Crowd<Waiting>[] =>
  orders.map((ones) => ({ size: ones.length, candidates: ones.map((order) => ({ order })) }))

const chosen = (given: readonly Crowd<Waiting>[], wanted: number): number[] =>
  chooseVictims(given, wanted).map(({ order }) => order)

test('nobody has to leave where there is room', () => {
  expect(chosen(crowds([1, 2, 3]), 0)).toEqual([])
  expect(chosen(crowds([1, 2, 3]), -2)).toEqual([])
  expect(chosen([], 5)).toEqual([])
})

test('the oldest of the largest crowd leaves, also when somebody of a small one is older', () => {
  expect(chosen(crowds([1], [2, 5, 6], [3, 4]), 1)).toEqual([2])
})

test('a crowd shrinks to the size of the next one before that one loses anybody', () => {
  expect(chosen(crowds([1], [2, 5, 6, 8], [3, 4]), 2)).toEqual([2, 5])
  expect(chosen(crowds([1], [2, 5, 6, 8], [3, 4]), 4)).toEqual([2, 5, 3, 6])
})

test('of many sources with one each the oldest leaves', () => {
  expect(chosen(crowds([7], [3], [5], [4]), 2)).toEqual([3, 4])
})

test('who may not be sent away makes the crowd large, and stays', () => {
  const fresh: Crowd<Waiting> = { size: 5, candidates: [{ order: 9 }] }

  expect(chosen([...crowds([1], [2, 3]), fresh], 2)).toEqual([9, 2])
})

test('more than there are is everybody', () => {
  expect(chosen(crowds([1, 4], [2], []), 99)).toEqual([1, 2, 4])
})

describe('whatever the crowds are', () => {
  const anyCrowds = fc
    .array(fc.array(fc.boolean(), { maxLength: 12 }), { maxLength: 12 })
    .chain((shape) => {
      const count = shape.reduce((sum, crowd) => sum + crowd.length, 0)
      return fc.tuple(
        fc.constant(shape),
        fc.shuffledSubarray(
          Array.from({ length: count }, (_, at) => at),
          { minLength: count },
        ),
      )
    })
    .map(([shape, orders]) => {
      let at = 0
      return shape.map((crowd): Crowd<Waiting> => {
        const ones = crowd.map((isCandidate) => ({ isCandidate, order: orders[at++] as number }))
        ones.sort((one, other) => one.order - other.order)
        return { size: ones.length, candidates: ones.filter(({ isCandidate }) => isCandidate) }
      })
    })

  test('as many leave as are wanted and may, each once, the older ones of a crowd first', () => {
    fc.assert(
      fc.property(anyCrowds, fc.nat(150), (given, wanted) => {
        const victims = chooseVictims(given, wanted)

        const all = given.flatMap(({ candidates }) => candidates)
        expect(victims).toHaveLength(Math.min(wanted, all.length))
        expect(new Set(victims).size).toBe(victims.length)
        for (const { candidates } of given) {
          const gone = candidates.filter((one) => victims.includes(one))
          expect(gone).toEqual(candidates.slice(0, gone.length))
        }
      }),
    )
  })

  test('one after the other is the same as all at once', () => {
    fc.assert(
      fc.property(anyCrowds, fc.nat(40), (given, wanted) => {
        let left = given
        const single: Waiting[] = []
        for (let time = 0; time < wanted; time += 1) {
          const [victim] = chooseVictims(left, 1)
          if (victim === undefined) break
          single.push(victim)
          left = left.map((crowd) =>
            crowd.candidates[0] === victim ? { size: crowd.size - 1, candidates: crowd.candidates.slice(1) } : crowd,
          )
        }

        expect(chooseVictims(given, wanted)).toEqual(single)
      }),
    )
  })
})
