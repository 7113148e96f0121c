/**
 * `npm run bench`: how fast it is, against its peers on the same work in the same run.
 *
 *     npm run bench                      every row; on a machine that does nothing else
 *     npm run bench -- --only NAME …     some, or some again; --list names them
 *     npm run bench -- --turns 9         more turns than a row has by itself (5)
 *     npm run bench -- --quick           little work, no figures that mean anything, all the checks
 *
 * When every row has a result, of one run or of several, REPORT.md and its picture are written beside this file's source. No figure is a
 * verdict: the exit status says whether the work was done right. The quick form runs in `npm test`.
 */

import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { keepResult, keptResults } from './kept-results.ts'
import { printTable, writeReport } from './report.ts'
import { memoryChart } from './memory-chart.ts'
import { findRows } from './rows.ts'
import { runRow } from './turns.ts'

const REPORT = fileURLToPath(new URL('../../../test/bench/REPORT.md', import.meta.url))
const CHART = fileURLToPath(new URL('../../../test/bench/memory.svg', import.meta.url))

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    turns: { type: 'string' },
    quick: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
  allowPositionals: false,
})

const rows = await findRows()
const unknown = values.only.filter((name) => !rows.some((row) => row.name === name))
if (unknown.length > 0) {
  console.error(`no such row: ${unknown.join(', ')} (--list names them)`)
  process.exit(2)
}

const chosen = rows.filter(({ name }) => values.only.length === 0 || values.only.includes(name))
const turns = values.turns === undefined ? undefined : Number(values.turns)

for (const row of chosen) {
  if (values.list) {
    console.log(`${row.name.padEnd(28)} ${row.does}`)
    continue
  }
  const say = (text: string): void => void process.stderr.write(`${row.name}: ${text}\n`)
  const result = await runRow(row, values.quick ? 'quick' : 'full', say, turns)
  console.log(printTable([{ row, result }]))
  if (!values.quick) keepResult(result)
}

const measured = keptResults(rows)
if (!values.list && !values.quick && measured.length === rows.length) {
  writeFileSync(REPORT, writeReport(measured))
  const resultOf = (name: string) => measured.filter(({ row }) => row.name === name).map(({ result }) => result)
  const panels = [
    ...resultOf('memory-by-size').map((result) => ({ title: 'MiB for one backup of', result })),
    ...resultOf('memory-by-connections').map((result) => ({ title: 'MiB with', result })),
  ]
  writeFileSync(CHART, memoryChart(panels))
  console.log(`written: test/bench/REPORT.md, test/bench/memory.svg`)
}
