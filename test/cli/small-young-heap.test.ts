/** What V8 says of itself when it is asked to trace; in a process of its own, as its flags are the process's. */

import { expect, test } from '@jest/globals'

import { mustRun } from '../rig/run-program.ts'

const MODULE = new URL('../../lib/cli/small-young-heap.js', import.meta.url).href

/** Objects that survive, for a while: so much of them that V8 would like more room for young ones. */
const USE_MUCH = `
const { keepYoungHeapSmall } = await import(${JSON.stringify(MODULE)})
const { getHeapSpaceStatistics } = await import('node:v8')
keepYoungHeapSmall()
const kept = []
for (let at = 0; at < 2_000_000; at += 1) {
  kept[at % 50_000] = { at, name: 'object ' + at }
}
const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')
console.log('young bytes: ' + young.space_size)
`

const MIB = 1024 * 1024

test('young objects keep to little memory, and are looked through by one thread', async () => {
  const tracing = ['--trace-gc', '--trace-parallel-scavenge']
  const run = await mustRun(process.execPath, [...tracing, '--input-type=module', '-e', USE_MUCH])

  const words = run.stdout.toString()
  expect(Number(/young bytes: (\d+)/.exec(words)?.[1])).toBeLessThanOrEqual(2 * MIB)
  const collections = words.match(/ ms: Scavenge /g) ?? []
  const parts = words.match(/scavenge\[0x[0-9a-f]+\]: time=/g) ?? []
  expect(collections.length).toBeGreaterThan(10)
  expect(parts.length).toBeGreaterThan(10)
  // Before it was told so, V8 may have shared one or two.
  expect(parts.length).toBeLessThanOrEqual(collections.length + 4)
})
