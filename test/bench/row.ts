/**
 * What a row of the bench is: one piece of work, ours and its peers', measured in turn in one run.
 *
 *     turn 1   ours  peer  limit
 *     turn 2   limit peer  ours      the other way round, so that nobody always goes first
 *     …
 *
 * A row is a file in `rows/` that exports `rows`; nothing else has to know it. Each runner does the work once, checks
 * that the work was done right (it throws otherwise), and says how fast it was. What a runner needs is made in
 * `prepare`, before anything is measured.
 */

/** `quick`: so little work that figures mean nothing. The checks are the same. */
export type Size = 'full' | 'quick'

/** Does the work once. Returns the figure in the unit of its row. Throws when the work was done wrong. */
export type Runner = () => Promise<number> | number

/** Somebody who does the work. */
export interface Contestant {
  readonly name: string
  /**
   * `ours` comes first and is compared with every `peer`. `ours too` is another way of ours, only shown. `limit` does
   * less than the work: what no implementation gets past on this machine.
   */
  readonly is: 'ours' | 'ours too' | 'peer' | 'limit'
  readonly run: Runner
  /** Ours against this peer, or this one of ours against the peer of that name: the ratio that is wanted. */
  readonly goal?: number
  /** The peer that this one of ours is compared with, too. */
  readonly against?: string
}

export interface Contest {
  readonly contestants: readonly Contestant[]
  /** Gives everything back. Called once, however it went. */
  close?(): Promise<void> | void
}

export interface Row {
  /** `encode-base64`: what `--only` takes. */
  readonly name: string
  /** Rows of one chapter stand together in the report. */
  readonly chapter: string
  /** What is done, and with what, as a sentence without its full stop. */
  readonly does: string
  readonly unit: string
  /** Whether a good figure is a large one. A ratio is always the larger the better for us. */
  readonly better: 'more' | 'less'
  /** The least that ours should reach by itself, in the unit; the most when less is better. */
  readonly wanted?: number
  /** What bounds it, with what shows that, and what was tried: sentences for the report. */
  readonly limit: string
  readonly turns?: number
  prepare(size: Size): Promise<Contest> | Contest
}
