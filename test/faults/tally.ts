/**
 * What a scenario has done to the programs, and what they made of it.
 *
 * Charges are things that must never be there: one is enough to fail the run. Notes are
 * what was measured or counted, for the report. A scenario that cannot run here says why.
 */

export const CHARGES = {
  falseComplete: 'taken for complete, and is not',
  orphans: 'processes left over',
  locks: 'locks left on the server',
  leftFiles: 'files left over',
  secrets: 'secrets found',
  wrongRows: 'rows of the history wrong',
  surprises: 'other than the matrix says',
} as const

export type Charge = keyof typeof CHARGES

export class Tally {
  #injections = 0
  #withServer = 0
  readonly #charges = new Map<Charge, string[]>()
  readonly notes: string[] = []
  /** Tables in Markdown, for the report. */
  readonly tables: string[] = []
  /** Why the scenario, or a part of it, could not run. */
  readonly skipped: string[] = []

  /** Faults injected so far. */
  get injections(): number {
    return this.#injections
  }

  /** Those of them with a real server behind the agent. */
  get withServer(): number {
    return this.#withServer
  }

  injected(count = 1, { realServer = false }: { realServer?: boolean } = {}): void {
    this.#injections += count
    if (realServer) this.#withServer += count
  }

  charge(charge: Charge, what: string): void {
    this.#charges.set(charge, [...this.charges(charge), what])
  }

  charges(charge: Charge): readonly string[] {
    return this.#charges.get(charge) ?? []
  }

  get isClean(): boolean {
    return this.#charges.size === 0
  }

  note(text: string): void {
    this.notes.push(text)
  }

  /** Everything, to be read back by `from`. */
  toJSON(): {
    readonly injections: number
    readonly withServer: number
    readonly charges: Partial<Record<Charge, readonly string[]>>
    readonly notes: readonly string[]
    readonly tables: readonly string[]
    readonly skipped: readonly string[]
  } {
    const { notes, tables, skipped } = this
    const charges = Object.fromEntries(this.#charges)
    return { injections: this.#injections, withServer: this.#withServer, charges, notes, tables, skipped }
  }

  static from(kept: ReturnType<Tally['toJSON']>): Tally {
    const tally = new Tally()
    tally.#injections = kept.injections
    tally.#withServer = kept.withServer
    for (const [charge, what] of Object.entries(kept.charges)) tally.#charges.set(charge as Charge, [...what])
    tally.notes.push(...kept.notes)
    tally.tables.push(...kept.tables)
    tally.skipped.push(...kept.skipped)
    return tally
  }

  skip(why: string): void {
    if (!this.skipped.includes(why)) this.skipped.push(why)
  }

  /** A fact that must be as the matrix says. */
  expect(isSo: boolean, otherwise: string): void {
    if (!isSo) this.charge('surprises', otherwise)
  }
}

/** `p50 12 ms, p99 80 ms, most 93 ms`, of durations in milliseconds. */
export const spread = (durations: readonly number[]): string => {
  const sorted = [...durations].sort((a, b) => a - b)
  const at = (share: number): string => {
    const ms = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
    return ms < 10_000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
  }
  return sorted.length === 0 ? 'none' : `p50 ${at(0.5)}, p99 ${at(0.99)}, most ${at(1)} (of ${sorted.length})`
}
