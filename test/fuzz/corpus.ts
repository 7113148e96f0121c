/** The corpus of a target: the files below fixtures/fuzz/NAME, and what the target borrows from other fixtures. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { Target } from './target.ts'

export const FIXTURES = fileURLToPath(new URL('../../../fixtures/', import.meta.url))
export const CORPUS = join(FIXTURES, 'fuzz')

export interface CorpusItem {
  /** Name of the file, or the number of what is borrowed. */
  readonly name: string
  readonly bytes: Buffer
}

/** In an order that is the same everywhere: input numbers count from it. */
export const corpusOf = (target: Target): CorpusItem[] => {
  const directory = join(CORPUS, target.name)
  const files = existsSync(directory) ? readdirSync(directory).sort() : []
  return [
    ...files.map((name) => ({ name, bytes: readFileSync(join(directory, name)) })),
    ...(target.seeds?.() ?? []).map((bytes, number) => ({ name: `borrowed ${number}`, bytes })),
  ]
}
