import { createHash } from 'node:crypto'
import { PassThrough, Readable } from 'node:stream'
import { afterAll, expect, test } from '@jest/globals'

import { type FilterOrder, startFilter } from '../../lib/engines/filter.ts'
import { BackupError } from '../../lib/errors/index.ts'
import { Scratch } from './stand-ins.ts'

const scratch = new Scratch()
afterAll(() => scratch.remove())

const order = (program: string, ...args: string[]): FilterOrder => ({
  name: 'it',
  program,
  args,
  environment: { PATH: '/usr/bin:/bin' },
  signal: new AbortController().signal,
  failureOf: ({ exitCode, signal }) => new BackupError('COMPRESS_FAILED', `ended with ${exitCode ?? signal}`),
})
const pieces = (count: number, bytes = 65_536): AsyncIterable<Buffer> =>
  Readable.from(
    (function* () {
      for (let number = 0; number < count; number += 1) yield Buffer.alloc(bytes, number)
    })(),
  )
const all = async (source: AsyncIterable<Buffer>): Promise<Buffer> => {
  const chunks: Buffer[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

test('hands everything through, and says that it took all of it', async () => {
  const filter = await startFilter(order('/bin/cat'))

  const out = await all(filter.through(pieces(50)))

  expect(out.equals(await all(pieces(50)))).toBe(true)
  expect([filter.takenBytes, filter.givenBytes]).toEqual([out.length, out.length])
  expect(await filter.settled).toMatchObject({ exitCode: 0, tookAll: true, isCancelled: false })
})

test('takes nothing more while nobody takes what comes out', async () => {
  const filter = await startFilter(order('/bin/cat'))
  let pulled = 0
  const counted = async function* () {
    for await (const piece of pieces(1000)) {
      pulled += 1
      yield piece
    }
  }
  const through = filter.through(counted())

  await through.next()
  const before = filter.signOfLife()
  let now = ''
  while (now !== before) {
    await new Promise((resolve) => setImmediate(resolve))
    now = now === filter.signOfLife() ? before : filter.signOfLife() // until two looks agree
  }
  const taken = pulled
  await through.return(undefined)

  expect(taken).toBeLessThan(100) // some in the pipes, and not a thousand
  expect(await filter.settled).toMatchObject({ isCancelled: true })
})

test('a program that ends badly when it had everything says so in its end, with its last words', async () => {
  const filter = await startFilter(order('/bin/sh', '-c', 'cat; echo first >&2; echo "no room" >&2; exit 3'))

  await all(filter.through(pieces(3)))

  expect(await filter.settled).toMatchObject({ exitCode: 3, tookAll: true, lastLine: 'no room' })
})

test.each([
  ['ends well', 'head -c 10; exit 0', 'ended with 0'],
  ['ends badly', 'head -c 10; exit 4', 'ended with 4'],
  ['is killed', 'head -c 10; kill -KILL $$', 'ended with SIGKILL'],
])('one that %s before it has everything is an error, however long its source goes on', async (_, script, message) => {
  const filter = await startFilter(order('/bin/sh', '-c', script))
  const endless = async function* () {
    for (;;) yield Buffer.alloc(65_536)
  }

  await expect(all(filter.through(endless()))).rejects.toThrow(message)
})

test('a source that fails kills it: what it would have written at its end is never written', async () => {
  const filter = await startFilter(order('/bin/sh', '-c', 'cat; echo THE END'))
  const failing = async function* () {
    yield Buffer.from('a beginning')
    throw new BackupError('ENGINE_FAILED', 'the source failed')
  }
  const seen: string[] = []

  const reading = (async () => {
    for await (const chunk of filter.through(failing())) seen.push(chunk.toString())
  })()

  await expect(reading).rejects.toMatchObject({ code: 'ENGINE_FAILED' })
  expect(seen.join('')).not.toContain('THE END')
  expect(await filter.settled).toMatchObject({ isCancelled: true, tookAll: false })
})

test('the signal kills it, and whoever reads is told its reason', async () => {
  const stop = new AbortController()
  const filter = await startFilter({ ...order('/bin/cat'), signal: stop.signal })
  const silent = new PassThrough() // nothing ever comes
  const reading = all(filter.through(silent))

  stop.abort(new BackupError('JOB_CANCELLED', 'cancelled'))

  await expect(reading).rejects.toMatchObject({ code: 'JOB_CANCELLED' })
  expect(await filter.settled).toMatchObject({ isCancelled: true })
})

test('a flood of words is read away', async () => {
  const filter = await startFilter(order('/bin/sh', '-c', 'yes "so many words" | head -c 3000000 >&2; cat'))

  await all(filter.through(pieces(2)))

  expect(await filter.settled).toMatchObject({ exitCode: 0, lastLine: expect.stringMatching(/^so many/) })
})

test('what it has taken may be written over at once, and what came out of it when it was given back', async () => {
  const filter = await startFilter({ ...order('/bin/cat'), largeReadsIn: scratch.runtimeDirectory })
  const [wentIn, cameOut] = [createHash('sha256'), createHash('sha256')]
  const memories = new Set<ArrayBufferLike>()
  let taken = 0
  const numbered = async function* () {
    for await (const piece of pieces(400, 200_000)) {
      wentIn.update(piece)
      yield piece
    }
  }

  const through = filter.through(numbered(), (piece) => {
    taken += piece.fill(0xee).length
  })
  for await (const piece of through) {
    cameOut.update(piece)
    memories.add(piece.buffer)
    filter.takeBack([piece])
  }

  expect(taken).toBe(400 * 200_000)
  expect(cameOut.digest('hex')).toBe(wentIn.digest('hex'))
  expect(memories.size).toBeLessThan(200)
})

test('a source that is told nothing may fill its memory again whenever it is asked for more', async () => {
  const filter = await startFilter(order('/bin/cat'))
  const memory = Buffer.alloc(300_000)
  const refilled = async function* () {
    for (let number = 0; number < 40; number += 1) yield memory.fill(number)
  }

  const out = await all(filter.through(refilled()))

  expect(out.equals(await all(pieces(40, memory.length)))).toBe(true)
})

test.each([
  ['a source that goes on', 8, 1_000_000],
  ['a source that has ended', 1, 400_000],
])('of %s nothing is given back before it was taken, nor is all of it', async (_, count, bytes) => {
  const filter = await startFilter(order('/bin/sh', '-c', 'read word; echo "$word"; exec sleep 600'))
  const handed: Buffer[] = []
  const taken = new Set<Buffer>()
  const kept = async function* () {
    yield Buffer.from('word\n')
    for await (const piece of pieces(count, bytes)) {
      handed.push(piece)
      yield piece
    }
  }
  const through = filter.through(kept(), (piece) => taken.add(piece))

  await through.next()
  // Whatever could still be under way in this process.
  for (let turn = 0; turn < 100; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  const isOwing = filter.isOwing
  await through.return(undefined)
  const end = await filter.settled

  expect(isOwing).toBe(true)
  expect(handed.length).toBe(1) // one passes the bound, and no more are asked for
  expect(handed.filter((piece) => taken.has(piece))).toEqual([])
  expect(filter.takenBytes).toBe(5)
  expect(end).toMatchObject({ isCancelled: true, tookAll: false })
})
