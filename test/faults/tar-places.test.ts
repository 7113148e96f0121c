import { expect, test } from '@jest/globals'

import { archive, END, mark, member, pax } from '../archive/tar-forge.ts'
import { MAY_ACCEPT, type Place, placesOf } from './tar-places.ts'

const SAMPLE = archive(
  mark(), // global: 0 to 1023
  member({ name: 'directory/', typeflag: '5' }), // 1024 to 1535
  pax([['path', 'directory/größe']]), // 1536 to 2559
  member({ name: 'g' }, 'x'.repeat(600)), // 2560, body 3072 to 4095
  member({ name: 'empty' }), // 4096 to 4607
)

test.each<[number, Place]>([
  [0, 'before its first byte'],
  [1, 'inside its first header'],
  [511, 'inside its first header'],
  [512, 'exactly behind the header of a pax header'],
  [513, 'inside the body of a pax header'],
  [1024, 'exactly behind the body of a global pax header'],
  [1025, 'inside the header behind a global pax header'],
  [1536, 'exactly behind the header of an empty member'],
  [1537, 'inside the header behind a member'],
  [2048, 'exactly behind the header of a pax header'],
  [2560, 'behind a member’s pax header'],
  [2561, 'behind a member’s pax header'],
  [3072, 'exactly behind the header of a member that has a body'],
  [3073, 'inside the body of a member'],
  [4095, 'inside the body of a member'],
  [4096, 'exactly behind a member'],
  [4097, 'inside the header behind a member'],
  [4608, 'exactly behind the header of an empty member'],
  [4609, 'inside the first zero block'],
  [5119, 'inside the first zero block'],
  [5120, 'behind the first zero block'],
  [5631, 'behind the first zero block'],
  [5632, 'whole'],
])('byte %d of an archive is %s', (at, place) => {
  expect(placesOf(SAMPLE)[at]).toBe(place)
})

test('every length has its place, and only a whole archive is whole', () => {
  const places = placesOf(SAMPLE)

  expect(places.length).toBe(SAMPLE.length + 1)
  expect(places.indexOf('whole')).toBe(SAMPLE.length)
})

test('zeros behind the end belong to a whole archive', () => {
  expect(placesOf(Buffer.concat([SAMPLE, END])).slice(SAMPLE.length)).toEqual(Array(END.length + 1).fill('whole'))
})

test('a whole archive must be accepted by all', () => {
  expect(MAY_ACCEPT.whole).toHaveLength(3)
})
