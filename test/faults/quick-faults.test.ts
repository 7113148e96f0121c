/** The quick share of the fault runner: every scenario that needs no time to wait, a few of each fault. */

import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { askProduct, has, type Product } from './product.ts'
import { Bench } from './scenario.ts'
import { SCENARIOS } from './scenarios.ts'
import { CHARGES, type Charge, Tally } from './tally.ts'

const QUICK = [
  'cut-streams',
  'cut-compressed',
  'flipped-bits',
  'broken-connections',
  'failing-engines',
  'cut-engine-output',
  'killed-processes',
  'lost-state',
  'strangers',
  'secrets',
]

let scratch: string
let product: Product

beforeAll(async () => {
  scratch = makeGuardedDirectory('quick-faults', '/var/tmp')
  product = await askProduct()
})
afterAll(() => removeGuardedDirectory(scratch))

test.each(QUICK)(
  '%s: nothing is taken for complete that is not, and nothing is left over',
  async (name) => {
    const scenario = SCENARIOS.find((one) => one.name === name)
    if (scenario === undefined) throw new Error(`there is no scenario ${name}`)
    const tally = new Tally()
    // A machine that runs other tests beside this one is slow: how long things take is for the full run.
    const limits = { quick: true, pauseSeconds: 5, goneWithinMs: 30_000 }
    const bench = new Bench({ product, tally, seed: name, directory: join(scratch, name), say: () => {}, ...limits })

    if ((scenario.needs ?? []).every((ability) => has(product, ability))) await scenario.run(bench)

    const charges = (Object.keys(CHARGES) as Charge[]).flatMap((charge) =>
      tally.charges(charge).map((what) => `${CHARGES[charge]}: ${what}`),
    )
    expect(charges).toEqual([])
    expect(tally.injections).toBeGreaterThan(0)
  },
  120_000,
)
