/**
 * `npm run faults`: injects every fault of the matrix into the real programs, and counts what
 * must never be there.
 *
 *     npm run faults                      everything; the better part of an hour
 *     npm run faults -- --quick           the same, a few of each
 *     npm run faults -- --only NAME …     some, or some again; --list names them
 *     npm run faults -- --pause 20        seconds that a slow reader pauses (60)
 *     npm run faults -- --seed WORD       other random instants
 *
 * Ends with status 0 only when nothing was taken for complete that is not, nothing was left over, and everything came out as the
 * matrix says. When every scenario has been run in full, at once or in pieces, REPORT.md is written beside this file's source.
 */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { KeptResults } from './kept-results.ts'
import { askProduct, has } from './product.ts'
import { printTable, type ScenarioResult, writeReport } from './report.ts'
import { Bench, type Scenario } from './scenario.ts'
import { SCENARIOS } from './scenarios.ts'
import { Tally } from './tally.ts'

/** On disk and not in /tmp, which is memory on newer systems. */
const PARENT = process.env['TMPDIR'] ?? '/var/tmp'
const REPORT = fileURLToPath(new URL('../../../test/faults/REPORT.md', import.meta.url))
const kept = new KeptResults(fileURLToPath(new URL('../../../coverage/faults', import.meta.url)))

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    quick: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    pause: { type: 'string' },
    seed: { type: 'string', default: 'kv-backup-agent' },
    report: { type: 'string' },
  },
  allowPositionals: false,
})

/** Twice what the longest one takes on a slow machine. */
const LIMIT_MS = 20 * 60_000

const within = async (ms: number, work: Promise<void>): Promise<void> => {
  const tooLong = new AbortController()
  const deadline = delay(ms, undefined, { signal: tooLong.signal }).then(() => {
    throw new Error(`it did not end within ${ms / 60_000} minutes`)
  })
  deadline.catch(() => undefined) // it ended in time
  await Promise.race([work, deadline]).finally(() => tooLong.abort())
}

const say = (name: string, text: string): void => {
  process.stdout.write(`${name.padEnd(20)} ${text}\n`)
}

const chosen = SCENARIOS.filter(({ name }) => values.only.length === 0 || values.only.includes(name))
const unknown = values.only.filter((name) => !SCENARIOS.some((scenario) => scenario.name === name))
if (unknown.length > 0) throw new Error(`no scenario is called ${unknown.join(', ')}; --list names them`)

if (values.list) for (const { name, does } of chosen) say(name, does)
// Not by itself: what a scenario that hung has left open would keep this process.
else process.exit(await runAll(chosen))

async function runAll(scenarios: readonly Scenario[]): Promise<number> {
  const product = await askProduct()
  const directory = makeGuardedDirectory('faults', PARENT)
  const started = performance.now()
  const results = new Map<Scenario, ScenarioResult>()

  const runOne = async (scenario: Scenario): Promise<void> => {
    const tally = new Tally()
    const began = performance.now()
    const missing = (scenario.needs ?? []).filter((ability) => !has(product, ability))
    const bench = new Bench({
      product,
      tally,
      quick: values.quick,
      seed: `${values.seed} ${scenario.name}`,
      pauseSeconds: Number(values.pause ?? (values.quick ? 15 : 60)),
      directory: join(directory, scenario.name),
      say: (text) => say(scenario.name, text),
    })
    if (missing.length > 0) tally.skip(`the product cannot do: ${missing.join(', ')}`)
    else {
      // A scenario that breaks is a finding, and the others go on.
      await within(LIMIT_MS, scenario.run(bench)).catch((error: unknown) => {
        tally.charge(
          'surprises',
          `the scenario broke: ${error instanceof Error ? (error.stack ?? error.message) : error}`,
        )
      })
    }
    const seconds = (performance.now() - began) / 1000
    results.set(scenario, { scenario, tally, seconds })
    if (!values.quick) kept.keep({ scenario, tally, seconds })
    const verdict = tally.isClean ? (tally.injections === 0 ? 'skipped' : 'clean') : 'NOT CLEAN'
    say(scenario.name, `${verdict}: ${tally.injections} injections, ${seconds.toFixed(0)} s`)
  }

  if (values.only.length === 0 && !values.quick) kept.clear()
  try {
    const background: Promise<void>[] = []
    for (const scenario of scenarios.filter(({ beside }) => beside !== 'waiting')) {
      const running = runOne(scenario)
      if (scenario.beside === 'background') background.push(running)
      else await running
    }
    await Promise.all(background)
    await Promise.all(scenarios.filter(({ beside }) => beside === 'waiting').map(runOne))
  } finally {
    await removeGuardedDirectory(directory)
  }
  const all = scenarios.flatMap((scenario) => results.get(scenario) ?? [])
  process.stdout.write(`\n${printTable(all)}\n${((performance.now() - started) / 60_000).toFixed(1)} minutes\n`)
  if (values.report !== undefined) writeFileSync(values.report, await writeReport(all, values.seed))
  const whole = kept.all(SCENARIOS)
  if (whole !== undefined && !values.quick) writeFileSync(REPORT, await writeReport(whole, values.seed))
  return all.every(({ tally }) => tally.isClean) ? 0 : 1
}
