/**
 * Keeps the result of each row, so that the bench can be run in pieces and one row again.
 *
 *     coverage/bench/encode-base64.json    of the last full run of that row
 *
 * The report is made of them when every row has one, whichever run it is from.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { Measured } from './report.ts'
import type { Row } from './row.ts'
import type { RowResult } from './turns.ts'

const DIRECTORY = fileURLToPath(new URL('../../../coverage/bench', import.meta.url))

export const keepResult = (result: RowResult): void => {
  mkdirSync(DIRECTORY, { recursive: true })
  writeFileSync(join(DIRECTORY, `${result.row}.json`), JSON.stringify(result, undefined, 2))
}

/** Those of the rows that have a result. */
export const keptResults = (rows: readonly Row[]): Measured[] => rows.flatMap((row) => read(row) ?? [])

const read = (row: Row): Measured | undefined => {
  try {
    return { row, result: JSON.parse(readFileSync(join(DIRECTORY, `${row.name}.json`), 'utf8')) as RowResult }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
