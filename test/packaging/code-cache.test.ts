/** The compiled core beside the program: it is used where it fits, and whatever else lies there changes nothing. */

import { copyFileSync, cpSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeEach, expect, test } from '@jest/globals'

import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { mustRun } from '../rig/run-program.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }

const scratch = makeGuardedDirectory('code-cache')
afterAll(() => removeGuardedDirectory(scratch))

let installed = 0
let core: string
let cache: string

/** The programs as they are installed, in a place of their own. */
beforeEach(async () => {
  installed += 1
  const home = join(scratch, `${installed}`)
  cpSync(join(ROOT, 'dist/programs'), join(home, 'dist/programs'), { recursive: true })
  copyFileSync(join(ROOT, 'package.json'), join(home, 'package.json'))
  core = join(home, 'dist/programs/parts/core.cjs')
  cache = `${core}.cache`
  await compile()
})

const compile = (): Promise<unknown> => mustRun(process.execPath, [join(core, '../../code-cache.cjs')])

const help = async (): Promise<string> => {
  const { stdout } = await mustRun(process.execPath, [join(core, '../../backup-agent.cjs'), 'inetd', '--help'])
  return stdout.toString()
}

test('it is there for everybody to read, and for its owner alone to write', () => {
  expect(statSync(cache).mode & 0o777).toBe(0o644)
  expect(statSync(cache).size).toBeGreaterThan(10_000)
})

test('what was compiled is what runs', async () => {
  const source = readFileSync(core, 'utf8')
  // As long as before: Node takes the cache for that of the source. Only who runs it says the other word.
  writeFileSync(core, source.replaceAll('serve the client on descriptor 0', 'SERVE the client on descriptor 0'))
  await compile()
  writeFileSync(core, source)

  expect(await help()).toContain('SERVE the client on descriptor 0')
})

test.each<[string, () => void]>([
  ['nothing', () => truncateSync(cache, 0)],
  ['half of it', () => truncateSync(cache, statSync(cache).size / 2)],
  ['something else', () => writeFileSync(cache, 'no compiled code')],
  ['that of another core', () => writeFileSync(core, `${readFileSync(core, 'utf8')}\n// another one\n`)],
])('with %s there the program runs as without', async (_, change) => {
  change()

  expect(await help()).toContain('serve the client on descriptor 0')
  const run = await mustRun(process.execPath, [join(core, '../../backup-agent.cjs'), '--version'])
  expect(run.stdout.toString().trim()).toBe(version)
})
