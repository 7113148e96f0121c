/**
 * Before a build: makes dist/ agree with the sources, which an incremental build does not.
 *
 * - An output whose source is gone is removed. Otherwise a deleted test would go on running,
 *   and a deleted module would still be found by an import that should fail.
 * - When an output is missing although its source is there, the compiler's memory of what it
 *   has written is removed, so that it writes everything again.
 */

import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOMS = ['lib', 'bin', 'test'] // tsconfig.json, "include"
const OUTPUTS = /\.(js|js\.map|d\.ts)$/

const root = fileURLToPath(new URL('../../', import.meta.url))
const dist = join(root, 'dist')

/** Names of the files below a directory, relative to the root of the checkout. */
const filesBelow = (base, room) =>
  existsSync(join(base, room))
    ? readdirSync(join(base, room), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) =>
          join(entry.parentPath ?? entry.path, entry.name)
            .slice(base.length)
            .replace(/^\//, ''),
        )
    : []

/** `NAME.wat` becomes `NAME.wat.js`: it counts as a source of that name. */
const asScript = (name) => (name.endsWith('.wat') ? `${name}.ts` : name)

const sources = new Set(
  ROOMS.flatMap((room) => filesBelow(root, room))
    .map(asScript)
    .filter((name) => /(?<!\.d)\.ts$/.test(name)),
)
const outputs = new Set(ROOMS.flatMap((room) => filesBelow(dist, room)))

for (const output of outputs) {
  if (OUTPUTS.test(output) && !sources.has(output.replace(OUTPUTS, '.ts'))) rmSync(join(dist, output))
}
for (const source of sources) {
  if (!outputs.has(source.replace(/\.ts$/, '.js'))) {
    rmSync(join(dist, '.tsbuildinfo'), { force: true })
    break
  }
}
