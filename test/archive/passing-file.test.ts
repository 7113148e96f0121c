import { expect, test } from '@jest/globals'

import { MemoryAccount } from '../../lib/archive/memory-account.ts'
import { PassingFile } from '../../lib/archive/passing-file.ts'

const KIB = 1024

test('keeps views until they are held, and copies then, over and over into the same memory', () => {
  const account = new MemoryAccount()
  const passing = new PassingFile(account)
  const chunk = Buffer.alloc(64, 'a')
  passing.take('t', chunk.subarray(0, 10))
  expect(account.bytes).toBe(0)

  expect(passing.hold()).toBe(true)
  chunk.fill('b')
  passing.take('t', chunk.subarray(0, 5))
  passing.take('t', chunk.subarray(5, 10))
  expect(passing.hold()).toBe(true)
  chunk.fill('c')
  passing.take('t', chunk.subarray(0, 3))
  expect({ path: passing.path, sizeBytes: passing.sizeBytes, bytes: account.bytes }).toEqual({
    path: 't',
    sizeBytes: 23,
    bytes: 20,
  })
  const first = passing.leave()
  expect(Buffer.concat(first).toString()).toBe(`${'a'.repeat(10)}${'b'.repeat(10)}ccc`)

  passing.take('u', chunk.subarray(0, 1))
  passing.hold()
  expect(passing.leave()[0]?.buffer).toBe(first[0]?.buffer)
  expect({ path: passing.path, bytes: account.bytes, peakBytes: account.peakBytes }).toEqual({
    path: undefined,
    bytes: 0,
    peakBytes: 20,
  })
})

test('holds no more than its followers copy, and is left as it is then', () => {
  const account = new MemoryAccount()
  const passing = new PassingFile(account)
  passing.take('t', Buffer.alloc(16 * KIB, 'a'))
  expect(passing.hold()).toBe(true)
  const more = Buffer.from('b')
  passing.take('t', more)

  expect(passing.hold()).toBe(false)

  expect(account.bytes).toBe(16 * KIB)
  expect(passing.leave()[1]).toBe(more)
})
