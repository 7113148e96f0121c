/**
 * Whom to send away when too many wait: the oldest of whoever has the most.
 *
 *     192.0.2.7     ● ● ● ● ●   ◀─ first from here, oldest first
 *     192.0.2.8     ● ●         ◀─ then from these in turn, when all have as many
 *     192.0.2.9     ●
 *     192.0.2.10    ●
 *
 * A client of a backup says everything at once, so of two that have said nothing the older one is less likely to be
 * a client: age is evidence, and it costs nothing to look at. One source that opens many connections sends its own
 * away; of many sources with one each the oldest goes. It is nowhere left to chance: sshd's early drop
 * (MaxStartups) throws dice over newcomers because people take long to type a password, and would refuse
 * a real client as often as a stranger.
 *
 * Pure.
 */

/** Somebody who waits, in the order of arrival. */
export interface Waiting {
  /** Grows with every arrival. */
  readonly order: number
}

/** Those of one source. */
export interface Crowd<One extends Waiting> {
  /** How many wait, those among them that may not be sent away yet. */
  readonly size: number
  /** Those that may be sent away, oldest first. */
  readonly candidates: readonly One[]
}

interface Shrinking<One> {
  readonly candidates: readonly One[]
  taken: number
}

/** @returns at most `wanted` of them, in the order in which they go */
export const chooseVictims = <One extends Waiting>(crowds: Iterable<Crowd<One>>, wanted: number): One[] => {
  const victims: One[] = []
  if (wanted <= 0) return victims
  const levels = new Map<number, Shrinking<One>[]>()
  let level = 0
  for (const { size, candidates } of crowds) {
    if (candidates.length === 0) continue
    put(levels, size, { candidates, taken: 0 })
    level = Math.max(level, size)
  }
  for (; level > 0; level -= 1) {
    for (const crowd of inOrder(levels.get(level) ?? [])) {
      victims.push(next(crowd) as One)
      if (victims.length === wanted) return victims
      crowd.taken += 1
      if (next(crowd) !== undefined) put(levels, level - 1, crowd)
    }
  }
  return victims
}

const put = <One>(levels: Map<number, Shrinking<One>[]>, size: number, crowd: Shrinking<One>): void => {
  const there = levels.get(size)
  if (there === undefined) levels.set(size, [crowd])
  else there.push(crowd)
}

const next = <One>({ candidates, taken }: Shrinking<One>): One | undefined => candidates[taken]

const inOrder = <One extends Waiting>(crowds: Shrinking<One>[]): Shrinking<One>[] =>
  crowds.sort((one, other) => (next(one)?.order ?? 0) - (next(other)?.order ?? 0))
