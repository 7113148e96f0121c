/** Whether two servers hold the same, told by the servers themselves. */

import type { ThrowawayServer } from '../rig/mariadb-server.ts'
import { quoteName, quoteText } from '../rig/sql-text.ts'
import { DATABASES, JOURNAL } from './fill.ts'
import { DemoFailure } from './story.ts'

export interface Fingerprint {
  readonly rows: string
  /** `CHECKSUM TABLE … EXTENDED`, which reads every row. */
  readonly checksum: string
  /** `SHOW CREATE TABLE`. */
  readonly definition: string
}

/** Fingerprints by `database.table`. */
export type Fingerprints = ReadonlyMap<string, Fingerprint>

/** Takes the fingerprint of every table of the demo except the journal. */
export const takeFingerprints = async (server: ThrowawayServer): Promise<Fingerprints> => {
  const tables = await server.query(
    `SELECT table_schema, table_name FROM information_schema.tables
     WHERE table_schema IN (${DATABASES.map(quoteText).join()}) AND table_type = 'BASE TABLE'
     AND NOT (table_schema = ${quoteText(JOURNAL.database)} AND table_name = ${quoteText(JOURNAL.name)})
     ORDER BY 1, 2`,
  )
  const fingerprints = new Map<string, Fingerprint>()
  for (const [database = '', table = ''] of tables) {
    const name = `${quoteName(database)}.${quoteName(table)}`
    const [counted, summed, created] = await server.query(
      `SELECT COUNT(*) FROM ${name}; CHECKSUM TABLE ${name} EXTENDED; SHOW CREATE TABLE ${name};`,
    )
    fingerprints.set(`${database}.${table}`, {
      rows: counted?.[0] ?? '',
      checksum: summed?.[1] ?? '',
      definition: created?.[1] ?? '',
    })
  }
  return fingerprints
}

/**
 * Compares what was with what was restored.
 *
 * @returns how many tables there are, all of them identical
 * @throws DemoFailure naming every table that is missing, new, unreadable or different, and how
 */
export const compareTables = (before: Fingerprints, after: Fingerprints): number => {
  const differences: string[] = []
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    const difference = compareTable(before.get(name), after.get(name))
    if (difference !== undefined) differences.push(`${name} ${difference}`)
  }
  if (differences.length > 0) throw new DemoFailure(`the restored tables differ: ${differences.join('; ')}`)
  if (before.size === 0) throw new DemoFailure('there was no table to compare')
  return before.size
}

const compareTable = (before: Fingerprint | undefined, after: Fingerprint | undefined): string | undefined => {
  if (before === undefined) return 'was not there before'
  if (after === undefined) return 'is missing'
  if (!/^\d+$/.test(before.checksum)) return `had no checksum before (${before.checksum})`
  if (!/^\d+$/.test(after.checksum)) return `cannot be read (checksum ${after.checksum})`
  if (after.rows !== before.rows) return `has ${after.rows} rows, had ${before.rows}`
  if (after.checksum !== before.checksum) return `has checksum ${after.checksum}, had ${before.checksum}`
  if (after.definition !== before.definition) return `has another definition: ${after.definition}`
  return undefined
}

/** What a restored server holds of the table that was written to during the backup. */
export interface JournalFound {
  readonly rows: number
  readonly first: number
  readonly last: number
}

export const readJournal = async (server: ThrowawayServer): Promise<JournalFound> => {
  const table = `${quoteName(JOURNAL.database)}.${quoteName(JOURNAL.name)}`
  const [row] = await server.query(`SELECT COUNT(*), COALESCE(MIN(id), 0), COALESCE(MAX(id), 0) FROM ${table}`)
  const [rows, first, last] = (row ?? []).map(Number)
  return { rows: rows ?? 0, first: first ?? 0, last: last ?? 0 }
}

/**
 * A backup is the database at one moment: every row from the first to some last one, and that
 * one lies between what was confirmed when the backup was asked for and when it had arrived.
 *
 * @throws DemoFailure when it does not
 */
export const checkJournal = (found: JournalFound, confirmedBefore: number, confirmedAfter: number): void => {
  const { rows, first, last } = found
  if (first !== 1 || rows !== last) {
    throw new DemoFailure(`the written table has gaps: ${rows} rows, numbered from ${first} to ${last}`)
  }
  if (last < confirmedBefore) {
    throw new DemoFailure(`rows are lost: ${confirmedBefore} were committed before the backup, ${last} were restored`)
  }
  // One more than the last confirmed can be there: committed, and its confirmation still on the way.
  if (last > confirmedAfter + 1) {
    throw new DemoFailure(`rows came from nowhere: ${last} were restored, ${confirmedAfter} had been committed`)
  }
}
