/** Lets the contestants of a row do their work in turn, and makes medians and spreads of what they say. */

import type { Contest, Contestant, Row, Size } from './row.ts'

/** The middle of some figures, and how far they lie apart. */
export interface Figure {
  readonly median: number
  readonly least: number
  readonly most: number
}

export interface Standing {
  readonly name: string
  readonly is: Contestant['is']
  readonly figure: Figure
  readonly goal?: number
  /** Of a peer: how many times as good ours was, turn by turn. Of ours: how many times as good as its peer. */
  readonly ratio?: Figure
}

export interface RowResult {
  readonly row: string
  readonly turns: number
  readonly standings: readonly Standing[]
}

const USUAL_TURNS = 5

export const figureOf = (values: readonly number[]): Figure => {
  const sorted = values.toSorted((one, other) => one - other)
  const at = (index: number): number => sorted[index] ?? Number.NaN
  const middle = (sorted.length - 1) / 2
  return {
    median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
    least: at(0),
    most: at(sorted.length - 1),
  }
}

/** @param say told what is measured, for who waits */
export const runRow = async (row: Row, size: Size, say: (text: string) => void, turns?: number): Promise<RowResult> => {
  const contest = await row.prepare(size)
  try {
    const count = turns ?? (size === 'quick' ? 1 : (row.turns ?? USUAL_TURNS))
    const values = await measure(contest, size, count, say)
    return { row: row.name, turns: count, standings: standings(row, contest, values) }
  } finally {
    await contest.close?.()
  }
}

const measure = async (
  { contestants }: Contest,
  size: Size,
  turns: number,
  say: (text: string) => void,
): Promise<ReadonlyMap<string, number[]>> => {
  const values = new Map<string, number[]>(contestants.map(({ name }) => [name, []]))
  // Once for nothing: caches, files and compilers get warm.
  if (size === 'full') for (const { run } of contestants) await run()
  for (let turn = 0; turn < turns; turn += 1) {
    say(`turn ${turn + 1} of ${turns}`)
    for (const { name, run } of turn % 2 === 0 ? contestants : contestants.toReversed()) {
      values.get(name)?.push(await run())
    }
  }
  return values
}

const standings = (row: Row, { contestants }: Contest, values: ReadonlyMap<string, number[]>): Standing[] => {
  const first = contestants.find(({ is }) => is === 'ours')?.name ?? ''
  const ratiosOf = (ours: string, peer: string): number[] =>
    (values.get(ours) ?? []).map((our, turn) => {
      const theirs = values.get(peer)?.[turn] ?? Number.NaN
      return row.better === 'more' ? our / theirs : theirs / our
    })
  return contestants.map(({ name, is, goal, against }) => {
    const own = values.get(name) ?? []
    const ratios = is === 'peer' ? ratiosOf(first, name) : against === undefined ? [] : ratiosOf(name, against)
    return {
      name,
      is,
      figure: figureOf(own),
      ...(ratios.length === 0 ? {} : { ratio: figureOf(ratios) }),
      ...(goal === undefined ? {} : { goal }),
    }
  })
}
