import { expect, test } from '@jest/globals'

import { HeldBytes } from '../../lib/archive/held-bytes.ts'
import { MemoryAccount } from '../../lib/archive/memory-account.ts'
import { pattern } from './converting.ts'

const newHeld = () => {
  const account = new MemoryAccount()
  return { account, held: new HeldBytes(account) }
}

test('keeps a view that is most of its chunk, and accounts the chunk', () => {
  const { account, held } = newHeld()
  const chunk = Buffer.alloc(1000, 'a')

  held.append(chunk.subarray(100))
  chunk.fill('b') // only a view can see this

  expect(account.bytes).toBe(1000)
  expect(Buffer.concat([...held.drain()])).toEqual(Buffer.alloc(900, 'b'))
})

test('copies a view that is a small part of its chunk, so that the chunk is not kept alive', () => {
  const { account, held } = newHeld()
  const chunk = Buffer.alloc(65536, 'a')

  held.append(chunk.subarray(0, 100))
  chunk.fill('b') // a view would see this

  expect(account.bytes).toBe(512)
  expect(Buffer.concat([...held.drain()])).toEqual(Buffer.alloc(100, 'a'))
})

test('takes at most twice the memory of what it holds when bytes come in small pieces', () => {
  const { account, held } = newHeld()
  const content = pattern(300_000)
  let worst = 0

  for (let at = 0; at < content.length; at += 7) {
    held.append(content.subarray(at, at + 7))
    worst = Math.max(worst, account.bytes - 2 * held.length)
  }

  expect(worst).toBeLessThanOrEqual(512)
  expect(Buffer.concat([...held.drain()])).toEqual(content)
})

test('says beforehand what appending costs', () => {
  const { held } = newHeld()
  const sizes = [1, 500, 20, 511, 4096, 70_000, 3, 65_000, 2]

  for (const size of sizes) {
    const chunk = Buffer.alloc(size === 70_000 ? size : 200_000) // one of them is all of its chunk
    const before = held.cost
    const announced = held.costOf(chunk.subarray(0, size))
    held.append(chunk.subarray(0, size))

    expect(held.cost - before).toBe(announced)
  }
})

test('accounts every byte back when it is drained', () => {
  const { account, held } = newHeld()
  for (const size of [10, 1000, 100_000]) held.append(Buffer.alloc(100_000).subarray(0, size))

  for (const _ of held.drain()) expect(account.bytes).toBeGreaterThan(0)

  expect({ bytes: account.bytes, cost: held.cost, length: held.length }).toEqual({ bytes: 0, cost: 0, length: 0 })
  expect(account.peakBytes).toBeGreaterThan(100_000)
})

test('accounts every byte back when whoever drains it stops in the middle', () => {
  const { account, held } = newHeld()
  for (let n = 0; n < 10; n += 1) held.append(Buffer.alloc(1000))

  for (const _ of held.drain()) break

  expect(account.bytes).toBe(0)
})
