import { describe, expect, test } from '@jest/globals'

import { LastLines } from '../../lib/engines/last-lines.ts'

describe('the last lines', () => {
  test('are all lines while there is room', () => {
    const last = new LastLines(10)

    for (const line of ['abcd', 'efgh']) last.push(line)

    expect(last.lines()).toEqual(['abcd', 'efgh']) // with their line ends exactly 10 bytes
  })

  test('are the newest when there is not, counted in bytes', () => {
    const last = new LastLines(10)

    for (const line of ['abcd', 'ä€', 'x']) last.push(line)

    expect(last.lines()).toEqual(['ä€', 'x'])
  })

  test('stay within the limit over a flood', () => {
    const last = new LastLines(1000)

    for (let line = 0; line < 100_000; line += 1) last.push(`line ${line}`)

    expect(last.lines().at(-1)).toBe('line 99999')
    expect(last.lines().join('\n').length).toBeLessThanOrEqual(1000)
  })
})
