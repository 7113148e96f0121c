import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { NamesSeen } from '../../lib/archive/names-seen.ts'

const add = (seen: NamesSeen, name: string): boolean => {
  const bytes = Buffer.from(`<${name}>`)
  return seen.add(bytes, 1, bytes.length - 1)
}

const has = (seen: NamesSeen, name: string): boolean => {
  const bytes = Buffer.from(`<${name}>`)
  return seen.has(bytes, 1, bytes.length - 1)
}

/** FNV-1a without an end: what two names have in common after which everything that follows gives them the same hash. */
const hashAfter = (begin: number, text: string): number =>
  Buffer.from(text).reduce((hash, byte) => Math.imul(hash ^ byte, 0x01000193), begin)

/** Names that all have one hash: two parts that leave the same behind, then two more, and so on. */
const colliding = (doublings: number): string[] => {
  let names = ['']
  let begin = 0x811c9dc5 | 0
  for (let doubling = 0; doubling < doublings; doubling += 1) {
    const known = new Map<number, string>()
    for (let n = 0; ; n += 1) {
      const part = (Math.imul(n, 0x9e3779b1) >>> 0).toString(36)
      const hash = hashAfter(begin, part)
      const other = known.get(hash)
      known.set(hash, part)
      if (other === undefined) continue
      names = names.flatMap((name) => [name + other, name + part])
      begin = hash
      break
    }
  }
  return names
}

/** As the table has it: what is made of that at the end. */
const hashOf = (name: string): number => {
  const hash = hashAfter(0x811c9dc5 | 0, name)
  const first = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  const second = Math.imul(first ^ (first >>> 13), 0xc2b2ae35)
  return (second ^ (second >>> 16)) >>> 0
}

const alike = colliding(8)

describe('names', () => {
  test('are said to be new once each, as a set says it, and are known from then on', () => {
    const name = fc.oneof(
      fc.stringMatching(/^[ab]{1,4}$/),
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 90 }),
    )
    fc.assert(
      fc.property(fc.array(name, { maxLength: 300 }), (names) => {
        const seen = new NamesSeen()
        const wanted = new Set<string>()
        const found: string[] = []
        const right: string[] = []
        for (const each of names) {
          found.push(`${has(seen, each)} ${add(seen, each)} ${seen.size}`)
          right.push(`${wanted.has(each)} ${!wanted.has(each)} ${wanted.add(each).size}`)
        }
        expect(found).toEqual(right)
        expect([...wanted].filter((each) => !has(seen, each))).toEqual([])
      }),
      { numRuns: 200 },
    )
  })

  test('of a length that no block ends with are kept whole, and so are the longest', () => {
    const seen = new NamesSeen()
    const names = [1, 255, 511, 65_533, 2, 65_533, 60_000, 5000, 3000].map((length, index) =>
      String(index).padEnd(length, 'n'),
    )

    expect(names.map((name) => add(seen, name))).toEqual(names.map(() => true))

    expect(names.map((name) => has(seen, name) && !add(seen, name))).toEqual(names.map(() => true))
    expect(() => add(seen, 'n'.repeat(65_534))).toThrow('bug')
    expect(() => add(seen, '')).toThrow('bug')
  })

  test('are known when there are a hundred thousand', () => {
    const seen = new NamesSeen()
    const name = (n: number): string => `shop_${n % 100}/orders_${n}.frm`
    let isNew = 0
    for (let n = 0; n < 100_000; n += 1) if (add(seen, name(n))) isNew += 1

    let isKnown = 0
    for (let n = 0; n < 100_000; n += 1) if (has(seen, name(n)) && !has(seen, `${name(n)}x`)) isKnown += 1

    expect({ isNew, isKnown, size: seen.size }).toEqual({ isNew: 100_000, isKnown: 100_000, size: 100_000 })
  })

  test('of one hash are told apart, more than there are slots for them, also when the table has grown', () => {
    const names = alike
    expect(new Set(names).size).toBe(256)
    expect(new Set(names.map((name) => hashAfter(0x811c9dc5 | 0, name))).size).toBe(1)
    const seen = new NamesSeen()

    const firstTime = names.slice(0, 200).map((name) => add(seen, name))
    for (let n = 0; n < 5000; n += 1) add(seen, `other${n}`)
    const secondTime = names.map((name) => add(seen, name))

    expect(firstTime).toEqual(names.slice(0, 200).map(() => true))
    expect(secondTime).toEqual(names.map((_, index) => index >= 200))
    expect(names.every((name) => has(seen, name))).toBe(true)
    expect(seen.size).toBe(5256)
  })

  test('are all known when some lose their slot because the table grows', () => {
    // At the end of the table, from where they go on at its beginning: that is moved first, and those in their way next.
    const isLate = (name: string): boolean => (hashOf(name) & 1023) > 1010
    const suffix = Array.from({ length: 100_000 }, (_, n) => `/${n}`).find((each) => isLate(alike[0] + each))
    const names = alike.slice(0, 64).map((name) => `${name}${suffix}`)
    const late = Array.from({ length: 10_000 }, (_, n) => `late${n}`)
      .filter(isLate)
      .slice(0, 40)
    const seen = new NamesSeen()
    for (const name of [...names, ...late]) add(seen, name)

    for (let n = 0; n < 600; n += 1) add(seen, `other${n}`)

    expect([...names, ...late].filter((name) => !has(seen, name) || add(seen, name))).toEqual([])
    expect(seen.size).toBe(704)
  })
})
