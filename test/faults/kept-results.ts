/**
 * Keeps the result of each scenario, so that a run can be made in pieces and one scenario again.
 *
 *     coverage/faults/cut-streams.json    what it has counted, of the last full run of that scenario
 *
 * The report is made of them when every scenario has one, whichever run it is from. Short runs are not kept.
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import type { ScenarioResult } from './report.ts'
import type { Scenario } from './scenario.ts'
import { Tally } from './tally.ts'

export class KeptResults {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  /** Forgets all of them: a whole run begins. */
  clear(): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }

  keep({ scenario, tally, seconds }: ScenarioResult): void {
    mkdirSync(this.#directory, { recursive: true })
    writeFileSync(this.#file(scenario), JSON.stringify({ tally, seconds }, undefined, 2))
  }

  /** @returns undefined while one of the scenarios has none */
  all(scenarios: readonly Scenario[]): ScenarioResult[] | undefined {
    const results = scenarios.flatMap((scenario) => this.#read(scenario) ?? [])
    return results.length === scenarios.length ? results : undefined
  }

  #read(scenario: Scenario): ScenarioResult | undefined {
    let text: string
    try {
      text = readFileSync(this.#file(scenario), 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
    const { tally, seconds } = JSON.parse(text) as { tally: ReturnType<Tally['toJSON']>; seconds: number }
    return { scenario, tally: Tally.from(tally), seconds }
  }

  #file({ name }: Scenario): string {
    return join(this.#directory, `${name}.json`)
  }
}
