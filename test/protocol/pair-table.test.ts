import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { PairTable } from '../../lib/protocol/pair-table.ts'
import { asMap } from './as-map.ts'
import { hashOfKey, keysOfOneHash } from './one-hash.ts'

const fill = (pairs: readonly (readonly [string, string])[], mostPairs = pairs.length): PairTable => {
  const table = new PairTable(mostPairs)
  for (const [key, value] of pairs) table.add(`${key}=${value}`, key.length)
  return table
}

const ONE_HASH = keysOfOneHash(40)
const key = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }).map((drawn) => drawn.replaceAll('=', '-')),
  fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 6 }),
  fc.constantFrom(...ONE_HASH),
)
const pairs = fc.array(fc.tuple(key, fc.string({ unit: 'binary', maxLength: 20 })), { maxLength: 60 })

describe('a table of pairs', () => {
  test('is what a Map would be that keeps the first of several values, and says which pair has a key', () => {
    fc.assert(
      fc.property(pairs, fc.array(key, { maxLength: 5 }), fc.nat(5), (drawn, asked, room) => {
        const table = new PairTable(drawn.length + room)
        const oracle = new Map<string, string>()

        for (const [own, value] of drawn) {
          const earlier = [...oracle.keys()].indexOf(own)
          expect(table.add(`${own}=${value}`, own.length)).toBe(earlier)
          if (earlier === -1) oracle.set(own, value)
        }

        expect([...asMap(table)]).toEqual([...oracle])
        for (const one of asked) expect([table.get(one), table.has(one)]).toEqual([oracle.get(one), oracle.has(one)])
      }),
      { numRuns: 1000 },
    )
  })

  test('keeps keys of one hash apart, finds each, and knows which of them are not there', () => {
    const table = fill(ONE_HASH.slice(0, 20).map((own, index) => [own, `value ${index}`]))

    expect(new Set(ONE_HASH.map(hashOfKey)).size).toBe(1) // or it would say nothing
    expect(ONE_HASH.map((own) => table.get(own))).toEqual(
      ONE_HASH.map((_, index) => (index < 20 ? `value ${index}` : undefined)),
    )
    expect(table.add(`${ONE_HASH[0]}=again`, 8)).toBe(0)
    expect(table.add(`${ONE_HASH[7]}=again`, 8)).toBe(7)
    expect(table.size).toBe(20)
  })

  test('finds keys that all want one slot, and none that is not there', () => {
    const keys: string[] = []
    for (let tried = 0; keys.length < 300; tried += 1) {
      const own = `key-${tried}`
      if ((hashOfKey(own) & 511) === 510) keys.push(own)
    }

    const table = fill(keys.slice(0, 256).map((own) => [own, `${own}!`]))

    expect(keys.map((own) => table.get(own))).toEqual(keys.map((own, index) => (index < 256 ? `${own}!` : undefined)))
  })

  test('says of a key that is not there that it is not there, however full it is', () => {
    for (let count = 0; count <= 256; count += 1) {
      const table = fill(Array.from({ length: count }, (_, index) => [`k${index}`, '']))

      expect([table.size, table.has(`k${count - 1}`), table.get(`k${count}`)]).toEqual([count, count > 0, undefined])
    }
  })

  test('has keys that objects have already only when they were sent', () => {
    const without = fill([['a', '1']])
    const having = fill([
      ['__proto__', '1'],
      ['constructor', '2'],
    ])

    expect(['__proto__', 'constructor', 'get'].map((own) => without.get(own))).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    expect(['__proto__', 'constructor', 'get'].map((own) => having.get(own))).toEqual(['1', '2', undefined])
  })

  test('calls back with the this that it was given', () => {
    const seen: unknown[] = []
    const self = { seen }

    fill([['a', '1']]).forEach(function (this: typeof self, value, own) {
      this.seen.push([own, value])
    }, self)

    expect(seen).toEqual([['a', '1']])
  })
})
