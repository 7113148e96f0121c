/**
 * `npm run fuzz`: feeds millions of odd inputs to everything that reads foreign bytes.
 *
 *     npm run fuzz                          everything; about ten minutes on two cores
 *     npm run fuzz -- --only NAME …         some; --list names them
 *     npm run fuzz -- --inputs 1000         so many of each, instead of each one's own number
 *     npm run fuzz -- --seed WORD           other inputs
 *     npm run fuzz -- --only NAME --from N --inputs 1 --keep DIR      one of them again, written to DIR
 *
 * Ends with status 0 only when there was no finding. Findings are written, made small, to a directory that is
 * named at the end. A full run writes REPORT.md beside this file's source.
 */

import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { corpusOf } from './corpus.ts'
import { InputMaker } from './mutate.ts'
import { printTable, type TargetResult, writeReport } from './report.ts'
import type { Target } from './target.ts'
import { findTarget, TARGETS } from './targets.ts'
import { FuzzThread } from './watchdog.ts'

const REPORT = fileURLToPath(new URL('../../../test/fuzz/REPORT.md', import.meta.url))

/** As many as the machine of a developer or of a CI has to spare. */
const LANES = 2

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    inputs: { type: 'string' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string', default: 'kv-backup-agent' },
    list: { type: 'boolean', default: false },
    keep: { type: 'string' },
    report: { type: 'string' },
  },
  allowPositionals: false,
})

const number = (text: string, name: string): number => {
  if (!/^[0-9]{1,9}$/.test(text)) throw new Error(`expected digits behind --${name}, found ${JSON.stringify(text)}`)
  return Number(text)
}

const chosen = values.only.length === 0 ? TARGETS : values.only.map(findTarget)
const say = (name: string, text: string): void => void process.stdout.write(`${name.padEnd(16)} ${text}\n`)

if (values.list) for (const { name, side, does } of chosen) say(name, `(${side}) ${does}`)
else process.exitCode = await runAll(chosen)

async function runAll(targets: readonly Target[]): Promise<number> {
  const { seed } = values
  const from = number(values.from, 'from')
  const started = performance.now()
  const results = new Map<Target, TargetResult>()
  const queue = [...targets]

  const lane = async (): Promise<void> => {
    const thread = new FuzzThread()
    for (let target = queue.shift(); target !== undefined; target = queue.shift()) {
      const began = performance.now()
      const inputs = values.inputs === undefined ? target.inputs : number(values.inputs, 'inputs')
      if (values.keep !== undefined) keepInputs(target, values.keep, { seed, from, inputs })
      const result = await thread.run(target, { seed, from, inputs })
      results.set(target, { target, result })
      const verdict = result.findings.length === 0 ? 'clean' : `${result.findings.length} FINDINGS`
      say(target.name, `${verdict}: ${result.inputs} inputs, ${((performance.now() - began) / 1000).toFixed(0)} s`)
    }
    await thread.close()
  }
  await Promise.all(Array.from({ length: LANES }, lane))

  const all = targets.flatMap((target) => results.get(target) ?? [])
  process.stdout.write(`\n${printTable(all)}${((performance.now() - started) / 60_000).toFixed(1)} minutes\n`)
  keepFindings(all)
  const isFull = values.only.length === 0 && values.inputs === undefined
  const file = values.report ?? (isFull ? REPORT : undefined)
  if (file !== undefined) writeFileSync(file, writeReport(all, seed))
  return all.every(({ result }) => result.findings.length === 0) ? 0 : 1
}

function keepInputs(target: Target, directory: string, order: { seed: string; from: number; inputs: number }): void {
  mkdirSync(directory, { recursive: true })
  const maker = new InputMaker(
    target,
    corpusOf(target).map(({ bytes }) => bytes),
    order.seed,
  )
  for (let at = order.from; at < order.from + order.inputs; at += 1) {
    writeFileSync(join(directory, `${target.name}-${at}`), maker.input(at))
  }
}

function keepFindings(all: readonly TargetResult[]): void {
  if (all.every(({ result }) => result.findings.length === 0)) return
  const directory = mkdtempSync(join(tmpdir(), 'fuzz-findings-'))
  for (const { target, result } of all) {
    for (const { input, bytes } of result.findings) writeFileSync(join(directory, `${target.name}-${input}`), bytes)
  }
  process.stdout.write(`what was found lies in ${directory}\n`)
}
