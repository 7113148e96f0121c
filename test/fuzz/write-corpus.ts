/**
 * Writes the seeds below fixtures/fuzz: `node dist/test/fuzz/write-corpus.js`.
 *
 * Each is small, right or nearly right, and made by the writers of the product and of the tests from fixed values,
 * so that it comes out the same everywhere. What a run has found is kept beside them, as `found-…`, and is left alone.
 */

import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { CORPUS } from './corpus.ts'
import { SEEDS } from './seeds.ts'

/** fixtures lies beside dist, and corpus.ts looks from there. */
export const writeCorpus = (): void => {
  for (const [target, seeds] of Object.entries(SEEDS)) {
    const directory = join(CORPUS, target)
    mkdirSync(directory, { recursive: true })
    for (const name of readdirSync(directory)) if (name.startsWith('seed-')) rmSync(join(directory, name))
    for (const [name, bytes] of Object.entries(seeds)) writeFileSync(join(directory, `seed-${name}`), bytes)
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeCorpus()
