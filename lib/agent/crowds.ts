/**
 * Those who wait, by where they come from; and whom to send away when they are too many: the oldest of the largest crowd.
 *
 *     192.0.2.7     ● ● ● ● ●   ◀─ first from here, oldest first
 *     192.0.2.8     ● ●         ◀─ then from these in turn, when all have as many
 *     192.0.2.9     ●
 *     192.0.2.10    ●
 *
 * A client of a backup says everything at once, so of two that have said nothing the older one is less likely to be
 * a client: age is evidence, and it costs nothing to look at. One source that opens many connections sends its own
 * away; of many sources with one each the oldest goes. Nothing of it is left to chance: sshd's early drop
 * (MaxStartups) throws dice over newcomers because people take long to type a password, and would refuse
 * a real client as often as a stranger.
 *
 * Crowds are kept by their size, so that a flood costs no more than a look at the largest ones. Pure.
 */

/** Somebody who waits. */
export interface Waiting {
  /** Grows with every arrival. */
  readonly order: number
}

/** Those of one source, in the order in which they came to wait. */
export interface Crowd<One extends Waiting> {
  readonly waiting: Set<One>
}

export class Crowds<One extends Waiting> {
  /** Place n: the crowds of n. */
  readonly #bySize: (Set<Crowd<One>> | undefined)[] = []
  #size = 0

  /** How many wait in all. */
  get size(): number {
    return this.#size
  }

  join(crowd: Crowd<One>, one: One): void {
    if (crowd.waiting.has(one)) return
    this.#at(crowd)?.delete(crowd)
    crowd.waiting.add(one)
    this.#put(crowd)
    this.#size += 1
  }

  /** @returns whether it was there */
  leave(crowd: Crowd<One>, one: One): boolean {
    if (!crowd.waiting.has(one)) return false
    this.#at(crowd)?.delete(crowd)
    crowd.waiting.delete(one)
    if (crowd.waiting.size > 0) this.#put(crowd)
    this.#size -= 1
    return true
  }

  /**
   * Who is to leave next. It stays until it is told to `leave`.
   *
   * @param mayGo of a crowd only the oldest is asked for: who may not be sent away yet protects those behind it
   */
  next(mayGo: (one: One) => boolean): One | undefined {
    for (let size = this.#largest(); size > 0; size -= 1) {
      let chosen: One | undefined
      for (const crowd of this.#bySize[size] ?? []) {
        const one = oldestOf(crowd)
        if (one !== undefined && (chosen === undefined || one.order < chosen.order) && mayGo(one)) chosen = one
      }
      if (chosen !== undefined) return chosen
    }
    return undefined
  }

  #largest(): number {
    while (this.#bySize.length > 0 && (this.#bySize.at(-1)?.size ?? 0) === 0) this.#bySize.pop()
    return this.#bySize.length - 1
  }

  #at({ waiting }: Crowd<One>): Set<Crowd<One>> | undefined {
    return this.#bySize[waiting.size]
  }

  #put(crowd: Crowd<One>): void {
    const there = this.#at(crowd)
    if (there !== undefined) there.add(crowd)
    else this.#bySize[crowd.waiting.size] = new Set([crowd])
  }
}

export const oldestOf = <One extends Waiting>({ waiting }: Crowd<One>): One | undefined => {
  for (const one of waiting) return one
  return undefined
}
