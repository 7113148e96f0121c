import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, expect, test } from '@jest/globals'

import { decoupled, Spill } from '../../lib/flow/index.ts'
import { openBelow } from '../scratch/open-files.ts'
import { collect, cutInto, MIB, pattern, type Watched, watched } from './spilling.ts'

let directory: string
let unhandled: unknown[]
const onUnhandled = (error: unknown) => void unhandled.push(error)

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'decoupled-'))
  unhandled = []
  process.on('unhandledRejection', onUnhandled)
})

afterEach(async () => {
  await new Promise((resolve) => setImmediate(resolve)) // rejections are counted when a turn is over
  process.off('unhandledRejection', onUnhandled)
  expect(unhandled).toEqual([])
  expect(openBelow(directory)).toEqual([])
  rmSync(directory, { recursive: true })
})

const makeSpill = (): Watched =>
  watched({ memoryBytes: MIB, disk: { directory, maxBytes: 4 * MIB, segmentBytes: MIB, recordBytes: MIB / 16 } })

/** A source that says when it was told to stop, and can be made to hang or to fail at its end. */
const makeSource = (bytes: number, end: 'ends' | 'hangs' | Error = 'ends') => {
  const content = pattern(bytes)
  const seen = { pulls: 0, isStopped: false }
  let letGo = () => {}
  const hanging = new Promise<void>((resolve) => (letGo = resolve))
  const source = async function* (): AsyncGenerator<Buffer> {
    try {
      for (const piece of cutInto(content, 65_536)) {
        seen.pulls += 1
        yield piece
      }
      if (end === 'hangs') await hanging
      else if (end !== 'ends') throw end
    } finally {
      seen.isStopped = true
    }
  }
  return { content, seen, source: source(), letGo }
}

test('hands on every byte, and the end', async () => {
  const { content, source } = makeSource(8 * MIB)
  const { spill } = makeSpill()

  expect((await collect(decoupled(source, spill))).equals(content)).toBe(true)
})

test('reads nothing before the first pull', async () => {
  const { seen, source } = makeSource(MIB)
  const { spill } = makeSpill()

  const bytes = decoupled(source, spill)
  await new Promise((resolve) => setImmediate(resolve))

  expect(seen.pulls).toBe(0)
  await bytes.return(undefined)
})

test('reads the source to its end while the consumer pauses', async () => {
  const { content, seen, source } = makeSource(4 * MIB)
  const { spill, until } = makeSpill()
  const bytes = decoupled(source, spill)
  const first = (await bytes.next()).value as Buffer

  await until(({ spilling }) => spilling)
  while (!seen.isStopped) await new Promise((resolve) => setImmediate(resolve))

  expect(spill.state).toMatchObject({ bytesIn: 4 * MIB, bytesOut: first.length })
  expect(Buffer.concat([first, await collect(bytes)]).equals(content)).toBe(true)
})

test('reads no more than the spill has room for', async () => {
  const { seen, source } = makeSource(16 * MIB)
  const { spill, until } = makeSpill()
  const bytes = decoupled(source, spill)
  const first = (await bytes.next()).value as Buffer

  await until(({ full }) => full)

  const handedOut = first.length
  expect(seen.pulls).toBe((5 * MIB + handedOut) / 65_536 + 1)
  await bytes.return(undefined)
  expect(seen.isStopped).toBe(true)
})

test('a failure of the source goes before everything that still waits', async () => {
  const failure = new Error('the backup program has died')
  const { source } = makeSource(4 * MIB, failure)
  const { spill } = makeSpill()
  const heard: unknown[] = []
  const hearing = new Promise<void>((resolve) => {
    const bytes = decoupled(source, spill, {
      onSourceFailure: (error) => {
        heard.push(error)
        resolve()
      },
    })
    void bytes.next().then(async () => {
      await hearing // the consumer is busy elsewhere, and its owner hears of it all the same
      await expect(bytes.next()).rejects.toBe(failure)
      heard.push('consumer')
    })
  })
  await hearing
  expect(spill.state).toMatchObject({ memoryBytes: 0, diskBytes: 0 })
  while (heard.length < 2) await new Promise((resolve) => setImmediate(resolve))

  expect(heard).toEqual([failure, 'consumer'])
})

test('a failure of the source reaches a consumer that waits', async () => {
  const failure = new Error('the backup program has died')
  const { spill } = makeSpill()

  await expect(collect(decoupled(makeSource(0, failure).source, spill))).rejects.toBe(failure)
})

test('a consumer that stops early stops the source, wherever that is', async () => {
  for (const bytes of [65_536, MIB, 16 * MIB]) {
    const { seen, source } = makeSource(bytes)
    for await (const piece of decoupled(source, makeSpill().spill)) {
      expect(piece.length).toBeGreaterThan(0)
      break
    }

    expect(seen.isStopped).toBe(true)
  }
})

test('a consumer that stops early does not wait for a source that hangs', async () => {
  const { seen, source, letGo } = makeSource(65_536, 'hangs')
  const bytes = decoupled(source, makeSpill().spill)
  await bytes.next()

  await bytes.return(undefined)

  expect(seen.isStopped).toBe(false)
  letGo()
  await source.return(undefined)
  expect(seen.isStopped).toBe(true)
})

const REASON = new Error('cancelled')

test.each<[string, number, 'ends' | 'hangs', (one: Watched) => Promise<void>]>([
  ['while bytes go through memory', 2 * MIB, 'ends', async () => {}],
  ['while the disk is written', 2 * MIB, 'ends', ({ until }) => until(({ spilling }) => spilling)],
  ['while the producer waits', 16 * MIB, 'ends', ({ until }) => until(({ full }) => full)],
  ['while the source hangs', 65_536, 'hangs', async () => {}],
])('an abort ends everything: %s', async (_, size, end, reached) => {
  const abort = new AbortController()
  const { seen, source, letGo } = makeSource(size, end)
  const one = makeSpill()
  const bytes = decoupled(source, one.spill, { signal: abort.signal })
  await bytes.next()
  await reached(one)

  abort.abort(REASON)

  expect(one.spill.state.memoryBytes).toBe(0) // given back though the consumer asks for nothing
  await expect(bytes.next()).rejects.toBe(REASON)
  if (end === 'hangs') {
    letGo()
    await source.return(undefined)
  }
  expect(seen.isStopped).toBe(true)
})

test('an abort stops the source though the consumer never asks again', async () => {
  const abort = new AbortController()
  const { seen, source } = makeSource(16 * MIB)
  const one = makeSpill()
  const bytes = decoupled(source, one.spill, { signal: abort.signal })
  await bytes.next()
  await one.until(({ full }) => full)
  const { pulls } = seen

  abort.abort(REASON)
  while (!seen.isStopped) await new Promise((resolve) => setImmediate(resolve))

  expect(seen.pulls).toBe(pulls)
  while (openBelow(directory).length > 0) await new Promise((resolve) => setImmediate(resolve))
})

test('an abort reaches a consumer that waits for a source that hangs', async () => {
  const abort = new AbortController()
  const { source, letGo } = makeSource(0, 'hangs')
  const next = decoupled(source, makeSpill().spill, { signal: abort.signal }).next()

  abort.abort(REASON)

  await expect(next).rejects.toBe(REASON)
  letGo()
})

test('an abort before the first pull lets nothing begin', async () => {
  const { seen, source } = makeSource(MIB)
  const signal = AbortSignal.abort(REASON)

  await expect(collect(decoupled(source, makeSpill().spill, { signal }))).rejects.toBe(REASON)

  expect(seen.pulls).toBe(0)
})

test('a source that breaks because it is stopped breaks nothing else', async () => {
  const source: AsyncIterable<Buffer> = {
    [Symbol.asyncIterator]: () => ({
      next: async () => ({ done: false, value: randomBytes(MIB) }),
      return: async () => {
        throw new Error('cannot be cleared away')
      },
    }),
  }
  const spill = new Spill({ memoryBytes: MIB, random: randomBytes, nowMs: () => 0 })

  for await (const piece of decoupled(source, spill)) {
    expect(piece.length).toBe(MIB)
    break
  }
})
