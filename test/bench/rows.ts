/** Finds the rows: every file in `rows/` exports some. */

import { readdirSync } from 'node:fs'

import type { Row } from './row.ts'

const DIRECTORY = new URL('./rows/', import.meta.url)

/** @returns in the order of the files' names, and of each file */
export const findRows = async (): Promise<Row[]> => {
  const files = readdirSync(DIRECTORY).filter((file) => file.endsWith('.js'))
  const rows: Row[] = []
  for (const file of files.toSorted()) {
    const { rows: found } = (await import(new URL(file, DIRECTORY).href)) as { rows: readonly Row[] }
    rows.push(...found)
  }
  return rows
}
