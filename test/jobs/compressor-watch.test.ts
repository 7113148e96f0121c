import { expect, test } from '@jest/globals'

import { CompressorWatch } from '../../lib/jobs/compressor-watch.ts'

/** A compressor that is as it is told to be. */
const watched = () => {
  const compressor = { name: 'xz', isOwing: true, sign: '0', signOfLife: () => compressor.sign }
  let now = 0
  const watch = new CompressorWatch(compressor, 1000, () => now)
  const look = (isExcused = false, afterMs = 600) => {
    now += afterMs
    return watch.look(isExcused)
  }
  return { compressor, look }
}

test('a compressor that has been given bytes and does nothing for too long is given up', () => {
  const { look } = watched()

  expect(look().hasMoved).toBe(true) // its first sign
  expect(look()).toEqual({ hasMoved: false, failure: undefined })
  expect(look().failure).toMatchObject({ code: 'COMPRESS_FAILED', message: expect.stringContaining('xz') })
})

test.each<[string, (at: ReturnType<typeof watched>, turn: number) => ReturnType<CompressorWatch['look']>]>([
  [
    'shows a sign of life now and then',
    ({ compressor, look }, turn) => {
      compressor.sign = `${Math.floor(turn / 2)}`
      return look()
    },
  ],
  ['has a receiver that takes nothing', ({ look }) => look(true)],
  [
    'has been given nothing',
    ({ compressor, look }) => {
      compressor.isOwing = false
      return look()
    },
  ],
])('one that %s is not', (_, turn) => {
  const at = watched()

  for (let number = 0; number < 10; number += 1) expect(turn(at, number).failure).toBeUndefined()
})
