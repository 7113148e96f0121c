/** The form of every scenario: one module, one fault or one family of faults. */

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

import { GONE_WITHIN_MS } from './host-look.ts'
import type { Ability, Product } from './product.ts'
import { SeededRandom } from './seeded-random.ts'
import type { Tally } from './tally.ts'

export interface Scenario {
  /** For `--only`. */
  readonly name: string
  /** Which row of the fault matrix. */
  readonly fault: string
  /** What is done, and what must come of it, in a sentence. */
  readonly does: string
  /** Abilities of the product without which there is nothing to try. */
  readonly needs?: readonly Ability[]
  /**
   * What may run beside it. Left out: nothing that starts after it. `background`: whatever comes next, because it
   * judges no times. `waiting`: the others of this kind, at the end, because all of them spend their time waiting.
   */
  readonly beside?: 'background' | 'waiting'
  run(bench: Bench): Promise<void>
}

/** What a scenario works with. */
export class Bench {
  readonly product: Product
  readonly tally: Tally
  /** The short run, for `npm test` and for a first look. */
  readonly quick: boolean
  readonly random: SeededRandom
  /** Seconds that a slow reader pauses. */
  readonly pauseSeconds: number
  /** How long something that must go may take to go. */
  readonly goneWithinMs: number
  readonly #directory: string
  readonly #say: (text: string) => void
  #made = 0

  constructor(given: {
    readonly product: Product
    readonly tally: Tally
    readonly quick: boolean
    readonly seed: string
    readonly pauseSeconds: number
    /** A test that runs beside others is no judge of times. */
    readonly goneWithinMs?: number
    readonly directory: string
    readonly say: (text: string) => void
  }) {
    this.product = given.product
    this.tally = given.tally
    this.quick = given.quick
    this.random = new SeededRandom(given.seed)
    this.pauseSeconds = given.pauseSeconds
    this.goneWithinMs = given.goneWithinMs ?? GONE_WITHIN_MS
    this.#directory = given.directory
    this.#say = given.say
  }

  /** A new, empty, private directory, removed with the run. */
  directory(name: string): string {
    this.#made += 1
    const path = join(this.#directory, `${name}-${this.#made}`)
    mkdirSync(path, { mode: 0o700, recursive: true })
    return path
  }

  /** A line of progress. */
  say(text: string): void {
    this.#say(text)
  }

  /** So many in the full run, so many in the short one. */
  times(full: number, quick: number): number {
    return this.quick ? quick : full
  }
}

/** Works on items, `lanes` of them at a time. The first failure ends it. */
export const inLanes = async <Item>(
  items: Iterable<Item>,
  lanes: number,
  work: (item: Item, lane: number) => Promise<void>,
): Promise<void> => {
  const iterator = items[Symbol.iterator]()
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      for (let next = iterator.next(); next.done !== true; next = iterator.next()) await work(next.value, lane)
    }),
  )
}
