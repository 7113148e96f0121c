import { describe, expect, test } from '@jest/globals'

import type { Row } from './row.ts'
import { findRows } from './rows.ts'
import { figureOf, runRow } from './turns.ts'

const rows = await findRows()

describe('the bench', () => {
  test('has rows, each with a name of its own, ours first', async () => {
    const names = rows.map(({ name }) => name)

    expect(names).toEqual(expect.arrayContaining(['encode-base64', 'decode-uuencode', 'xbstream-to-tar']))
    expect(new Set(names).size).toBe(names.length)
  })

  // No figure is judged here: what counts is that the work was done, and done right, by everybody.
  test.each(rows.map((row) => [row.name, row] as const))('does the work of %s right', async (_, row) => {
    const { standings } = await runRow(row, 'quick', () => undefined)

    expect(standings.filter(({ is }) => is === 'ours')).toHaveLength(1)
    for (const { figure } of standings) expect(figure.median).toBeGreaterThan(0)
  })
})

test('a figure is the middle of its turns, with the least and the most', () => {
  expect(figureOf([5, 1, 9])).toEqual({ median: 5, least: 1, most: 9 })
  expect(figureOf([4, 1, 9, 6])).toEqual({ median: 5, least: 1, most: 9 })
})

test('a runner that finds its work done wrong fails the row, and everything is given back', async () => {
  const given: string[] = []
  const wrong: Row = {
    name: 'wrong',
    chapter: '',
    does: '',
    unit: '',
    better: 'more',
    limit: '',
    prepare: () => ({
      contestants: [
        {
          name: 'ours',
          is: 'ours',
          run: () => {
            throw new Error('done wrong')
          },
        },
      ],
      close: () => void given.push('back'),
    }),
  }

  await expect(runRow(wrong, 'quick', () => undefined)).rejects.toThrow('done wrong')
  expect(given).toEqual(['back'])
})
