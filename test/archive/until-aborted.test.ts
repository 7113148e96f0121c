import { expect, test } from '@jest/globals'

import { untilAborted } from '../../lib/archive/until-aborted.ts'

/** A source that says when it is asked, and when it is told to stop. */
const makeSource = (items: readonly number[], then: 'end' | 'hang' = 'end') => {
  const log: string[] = []
  let at = 0
  const source: AsyncIterable<number> = {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        log.push('next')
        const value = items[at++]
        if (value !== undefined) return Promise.resolve({ done: false, value })
        return then === 'hang' ? new Promise(() => {}) : Promise.resolve({ done: true, value: undefined })
      },
      return: () => {
        log.push('return')
        return Promise.resolve({ done: true, value: undefined })
      },
    }),
  }
  return { source, log }
}

test.each([
  ['with a signal', new AbortController().signal],
  ['without one', undefined],
])('gives everything to the end %s', async (_, signal) => {
  const { source } = makeSource([1, 2, 3])

  const seen: number[] = []
  for await (const item of untilAborted(source, signal)) seen.push(item)

  expect(seen).toEqual([1, 2, 3])
})

test('stops with the reason while the source hangs', async () => {
  const { source, log } = makeSource([1], 'hang')
  const controller = new AbortController()
  const items = untilAborted(source, controller.signal)
  await items.next()

  const pending = items.next()
  controller.abort(new Error('told to'))

  await expect(pending).rejects.toThrow('told to')
  expect(log).toEqual(['next', 'next', 'return'])
})

test('does not begin when it was aborted before', async () => {
  const { source, log } = makeSource([1])

  await expect(untilAborted(source, AbortSignal.abort(new Error('told to'))).next()).rejects.toThrow('told to')

  expect(log).toEqual([])
})

test('notices an abort that came while nobody asked', async () => {
  const { source, log } = makeSource([1, 2])
  const controller = new AbortController()
  const items = untilAborted(source, controller.signal)
  await items.next()

  controller.abort(new Error('told to'))

  await expect(items.next()).rejects.toThrow('told to')
  expect(log).toEqual(['next', 'return'])
})

test('tells the source to stop when the consumer does', async () => {
  const { source, log } = makeSource([1, 2])

  for await (const _ of untilAborted(source, new AbortController().signal)) break

  expect(log).toEqual(['next', 'return'])
})
