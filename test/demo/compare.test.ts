import { describe, expect, test } from '@jest/globals'

import { checkJournal, compareTables, type Fingerprint } from './compare.ts'
import { compareTrees } from './trees.ts'

const ORDERS: Fingerprint = { rows: '10', checksum: '123', definition: 'CREATE TABLE orders (id INT)' }
const EMPTY: Fingerprint = { rows: '0', checksum: '0', definition: 'CREATE TABLE empty (id INT)' }
const BEFORE = new Map([
  ['shop.orders', ORDERS],
  ['shop.empty', EMPTY],
])

describe('comparing tables', () => {
  test('counts them when all are identical', () => {
    expect(compareTables(BEFORE, new Map(BEFORE))).toBe(2)
  })

  test.each<[string, Record<string, Fingerprint>, string]>([
    ['is missing', { 'shop.orders': ORDERS }, 'shop.empty is missing'],
    ['is new', { 'shop.orders': ORDERS, 'shop.empty': EMPTY, 'shop.ghost': EMPTY }, 'shop.ghost was not there before'],
    ['lost a row', { 'shop.orders': { ...ORDERS, rows: '9' }, 'shop.empty': EMPTY }, 'shop.orders has 9 rows, had 10'],
    [
      'has another value in a row',
      { 'shop.orders': { ...ORDERS, checksum: '124' }, 'shop.empty': EMPTY },
      'shop.orders has checksum 124, had 123',
    ],
    [
      'cannot be read',
      { 'shop.orders': { ...ORDERS, checksum: 'NULL' }, 'shop.empty': EMPTY },
      'shop.orders cannot be read',
    ],
    [
      'is defined otherwise',
      { 'shop.orders': ORDERS, 'shop.empty': { ...EMPTY, definition: 'CREATE TABLE empty (id BIGINT)' } },
      'shop.empty has another definition',
    ],
  ])('says so when one %s', (_, after, sentence) => {
    expect(() => compareTables(BEFORE, new Map(Object.entries(after)))).toThrow(sentence)
  })

  test('does not call two checksums identical that were never taken', () => {
    const unread = new Map([['shop.orders', { ...ORDERS, checksum: 'NULL' }]])

    expect(() => compareTables(unread, unread)).toThrow('had no checksum before')
  })

  test('does not call nothing identical', () => {
    expect(() => compareTables(new Map(), new Map())).toThrow('no table to compare')
  })
})

describe('checking the journal', () => {
  test.each([
    ['at the row that was the last one before', 100],
    ['somewhere between', 150],
    ['at the row whose confirmation was on its way', 201],
  ])('accepts one that ends %s', (_, last) => {
    expect(() => checkJournal({ rows: last, first: 1, last }, 100, 200)).not.toThrow()
  })

  test.each([
    ['a gap', { rows: 149, first: 1, last: 150 }, 'has gaps'],
    ['a beginning that is missing', { rows: 149, first: 2, last: 150 }, 'has gaps'],
    ['no rows', { rows: 0, first: 0, last: 0 }, 'has gaps'],
    ['an end before the backup', { rows: 99, first: 1, last: 99 }, 'rows are lost'],
    ['an end in the future', { rows: 202, first: 1, last: 202 }, 'rows came from nowhere'],
  ])('refuses %s', (_, found, sentence) => {
    expect(() => checkJournal(found, 100, 200)).toThrow(sentence)
  })
})

describe('comparing what tar programs unpacked', () => {
  const TREE = new Map([
    ['shop', 'directory'],
    ['shop/orders.ibd', '10 bytes, sha256 aa'],
  ])

  test('is content with the same', () => {
    expect(() => compareTrees(TREE, new Map(TREE), 'bsdtar')).not.toThrow()
  })

  test.each([
    ['a file with other bytes', new Map([...TREE, ['shop/orders.ibd', '10 bytes, sha256 bb']])],
    ['a file that is missing', new Map([['shop', 'directory']])],
    ['a file too many', new Map([...TREE, ['PaxHeader', '1 bytes, sha256 cc']])],
  ])('names %s', (_, found) => {
    expect(() => compareTrees(TREE, found, 'bsdtar')).toThrow(/^bsdtar unpacked \S+ as .*, GNU tar as /)
  })
})
