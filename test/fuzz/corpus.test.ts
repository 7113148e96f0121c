/** The corpus of the fuzzer, replayed: nothing in it may surprise, and where it is cut must change nothing. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { CORPUS, corpusOf } from './corpus.ts'
import { judge } from './judge.ts'
import { SEEDS } from './seeds.ts'
import { TARGETS } from './targets.ts'

/** So many cuts of a long item, spread over it; a short one is cut everywhere. */
const MAX_CUTS = 60

const places = (length: number): number[] => {
  const step = Math.max(1, Math.ceil(length / MAX_CUTS))
  return Array.from({ length: Math.ceil(length / step) }, (_, at) => at * step)
}

describe.each(TARGETS.map((target) => [target.name, target] as const))('what lies in the corpus of %s', (_, target) => {
  const corpus = corpusOf(target)
  beforeAll(() => target.open?.())
  afterAll(() => target.close?.())

  test('is read or refused, and nothing else', async () => {
    const findings: string[] = []
    for (const { name, bytes } of corpus) {
      const { finding } = await judge(target, [bytes])
      if (finding !== undefined) findings.push(`${name}: ${finding}`)
    }

    expect(corpus.length).toBeGreaterThan(0)
    expect(findings).toEqual([])
  })

  if (!target.isPiecewise) return
  test('is understood alike wherever it is cut in two', async () => {
    const differing: string[] = []
    for (const { name, bytes } of corpus) {
      const { trace } = await judge(target, [bytes])
      for (const at of places(bytes.length)) {
        const cut = await judge(target, [bytes.subarray(0, at), bytes.subarray(at)])
        if (cut.trace !== trace || cut.finding !== undefined) differing.push(`${name} at byte ${at}: ${cut.trace}`)
      }
    }

    expect(differing).toEqual([])
  })
})

describe('the files of the corpus', () => {
  const files = readdirSync(CORPUS, { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('/'))

  test('are what write-corpus.ts makes of the writers of today', () => {
    const changed = Object.entries(SEEDS).flatMap(([target, seeds]) =>
      Object.entries(seeds)
        .map(([name, bytes]) => ({ path: join(target, `seed-${name}`), bytes }))
        .filter(({ path, bytes }) => !existsSync(join(CORPUS, path)) || !readFileSync(join(CORPUS, path)).equals(bytes))
        .map(({ path }) => path),
    )

    expect(changed).toEqual([])
  })

  test('belong to a target, and README.md says of everything that was found what it was', () => {
    const readme = readFileSync(join(CORPUS, 'README.md'), 'utf8')
    const unknown = files.filter((path) => {
      const [target = '', name = ''] = path.split('/')
      const isSeed = Object.hasOwn(SEEDS[target] ?? {}, name.replace(/^seed-/, ''))
      return !TARGETS.some((one) => one.name === target) || !(isSeed || readme.includes(`\`${path}\``))
    })

    expect(unknown).toEqual([])
  })
})
