import { mkdtempSync, rmSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'

import { KeptResults } from './kept-results.ts'
import { printTable, type ScenarioResult, writeReport } from './report.ts'
import { spread, Tally } from './tally.ts'

const result = (fill: (tally: Tally) => void): ScenarioResult => {
  const tally = new Tally()
  fill(tally)
  const scenario = { name: 'a-scenario', fault: 'A row', does: 'does a thing', run: async () => {} }
  return { scenario, tally, seconds: 1.5 }
}

const CLEAN = result((tally) => {
  tally.injected(10)
  tally.injected(5, { realServer: true })
  tally.note('so many cuts')
  tally.tables.push('| a | table |')
})
const GUILTY = result((tally) => {
  tally.injected(3)
  tally.charge('falseComplete', 'cut at byte 7\n    at somewhere in the code')
  for (let pid = 0; pid < 100; pid += 1) tally.charge('orphans', `sleep ${pid}`)
})
const SKIPPED = result((tally) => tally.skip('only root may mount a small disk'))

describe('the table of a run', () => {
  test('has the totals of every charge', () => {
    const table = printTable([CLEAN, GUILTY])

    expect(table).toContain('injections: 18')
    expect(table).toContain('taken for complete, and is not: 1')
    expect(table).toContain('processes left over: 100')
    expect(table).toContain('secrets found: 0')
  })

  test('names a charge of which there are very many only some times', () => {
    const table = printTable([GUILTY])

    expect(table.split('\n').filter((line) => line.includes('sleep')).length).toBeLessThan(20)
    expect(table).toContain('and 88 more')
  })

  test('says what was skipped, and why', () => {
    expect(printTable([SKIPPED])).toContain('skipped: only root may mount a small disk')
  })
})

describe('the report', () => {
  test('tells injections, charges, notes and tables', async () => {
    const report = await writeReport([CLEAN, GUILTY, SKIPPED], 'a seed')

    expect(report).toContain('| faults injected | 18 | 5 of them with a real MariaDB server behind the agent |')
    expect(report).toContain('| taken for complete, and is not | 1 | must be 0 |')
    expect(report).toContain('- so many cuts')
    expect(report).toContain('| a | table |')
    expect(report).toContain('- **taken for complete, and is not**: cut at byte 7')
    expect(report).toContain('- Skipped: only root may mount a small disk')
  })

  test('has no date, no path and no name of this machine', async () => {
    const report = await writeReport([CLEAN, GUILTY, SKIPPED], 'a seed')

    expect(report).not.toMatch(/\b20\d\d-\d\d-\d\d\b/)
    expect(report).not.toContain(process.cwd())
    expect(report).not.toContain(`${tmpdir()}/`)
    expect(report.split(/\W+/)).not.toContain(hostname())
    expect(report).not.toContain('somewhere in the code')
  })
})

test('a spread of durations names the middle, the tail and the longest', () => {
  const durations = Array.from({ length: 100 }, (_, index) => index + 1)

  expect(spread(durations)).toBe('p50 51 ms, p99 100 ms, most 100 ms (of 100)')
  expect(spread([12_345])).toBe('p50 12.3 s, p99 12.3 s, most 12.3 s (of 1)')
  expect(spread([])).toBe('none')
})

test('a result that is kept makes the same report later, when all the others are there', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kept-'))
  const kept = new KeptResults(join(directory, 'results'))
  const other = { ...GUILTY, scenario: { ...GUILTY.scenario, name: 'another' } }
  const scenarios = [CLEAN.scenario, other.scenario]

  kept.keep(CLEAN)
  expect(kept.all(scenarios)).toBeUndefined()
  kept.keep(other)
  const all = kept.all(scenarios) ?? []
  kept.clear()

  expect(await writeReport(all, 'a seed')).toBe(await writeReport([CLEAN, other], 'a seed'))
  expect(kept.all(scenarios)).toBeUndefined()
  rmSync(directory, { recursive: true })
})
