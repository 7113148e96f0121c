import { createHash } from 'node:crypto'

import { afterEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { SideDigest } from '../../lib/flow/index.ts'
import { plainEnvironment, runProgram } from '../rig/run-program.ts'

/** More than the ring has room for, in bytes and in pieces. */
const MUCH_BYTES = 8 * 1024 * 1024
const MANY_PIECES = 5000

const open: SideDigest[] = []
afterEach(() => {
  for (const digest of open.splice(0)) digest.close()
})

const sideDigest = (processors: number): SideDigest => {
  const digest = new SideDigest(processors)
  open.push(digest)
  return digest
}

/** Views with odd beginnings, because shared memory is written in another way where they are odd. */
const views = (lengths: readonly number[]): Buffer[] => {
  const bytes = Buffer.alloc(Math.max(...lengths, 1) + 16)
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = (at * 131) >> 3
  return lengths.map((length, index) => bytes.subarray(index % 16, (index % 16) + length))
}

const sumOf = (pieces: readonly Buffer[]): string => {
  const hash = createHash('sha256')
  for (const piece of pieces) hash.update(piece)
  return hash.digest('hex')
}

const sumBeside = async (digest: SideDigest, pieces: readonly Buffer[]): Promise<string> => {
  for (const piece of pieces) {
    const copy = Buffer.from(piece)
    const room = digest.update(copy)
    if (room === undefined)
      copy.fill(0) // it was taken: what is done with the memory now is of no interest to it
    else await room
  }
  return digest.finish()
}

describe.each([
  ['in a thread', 2],
  ['where there is one processor', 1],
])('the digest, %s,', (_, processors) => {
  test.each([
    ['nothing', []],
    ['one byte', [1]],
    ['too little for a thread', [100, 7, 0, 5000]],
    ['more than is kept for it', [MUCH_BYTES]],
    ['much in large pieces', Array.from({ length: 40 }, (__, index) => MUCH_BYTES / 32 + index)],
    ['many small pieces', Array.from({ length: MANY_PIECES }, (__, index) => 1 + (index % 600))],
    ['many that are nothing', Array.from({ length: MANY_PIECES }, (__, index) => (index % 100 === 0 ? 9999 : 0))],
  ])('is that of the bytes: %s', async (__, lengths) => {
    const pieces = views(lengths)

    expect(await sumBeside(sideDigest(processors), pieces)).toBe(sumOf(pieces))
  })

  test('is that of the bytes, however they are cut', async () => {
    const lengths = fc.array(fc.oneof(fc.nat(64), fc.nat(70_000), fc.nat(2_000_000)), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(lengths, async (cut) => {
        const pieces = views(cut)
        const digest = sideDigest(processors)
        expect(await sumBeside(digest, pieces)).toBe(sumOf(pieces))
        digest.close()
      }),
      { numRuns: 25 },
    )
  })
})

test('whoever gives too much waits, so that the memory stays what it is', async () => {
  const digest = sideDigest(2)
  let waits = 0

  // Nothing is awaited between them, so the thread cannot have been started yet by the time the ring is full.
  for (let given = 0; given < MUCH_BYTES && waits === 0; given += 100_000) {
    const room = digest.update(Buffer.alloc(100_000))
    if (room === undefined) continue
    room.catch(() => {}) // the test closes it
    waits += 1
  }

  expect(waits).toBe(1)
})

test('a thread that dies fails whoever gives more, and whoever asks for the sum', async () => {
  const digest = sideDigest(2)
  await digest.update(Buffer.alloc(MUCH_BYTES))

  digest.close()

  await expect(digest.finish()).rejects.toThrow('the thread of the digest ended')
  const giving = async (): Promise<void> => {
    for (let given = 0; given < 2 * MUCH_BYTES; given += 100_000) await digest.update(Buffer.alloc(100_000))
  }
  await expect(giving()).rejects.toThrow('the thread of the digest ended')
})

test('a thread that dies while somebody waits for it fails him', async () => {
  const digest = sideDigest(2)
  const waiting = digest.update(Buffer.alloc(16 * MUCH_BYTES))

  digest.close()

  await expect(waiting).rejects.toThrow('the thread of the digest ended')
})

/** Node alone has 0.75 GB, and a thread would reserve as much again. */
const ADDRESS_BYTES = 1200 * 1024 * 1024

test('there is no thread where the address space does not suffice for one, which would be the end of the process', async () => {
  const room = new URL('../../lib/flow/index.js', import.meta.url)
  const program = `
    const { SideDigest } = await import('${room}')
    const digest = new SideDigest(2)
    await digest.update(Buffer.alloc(${MUCH_BYTES}))
    console.log(await digest.finish())`

  const { stdout, stderr, exitCode, killedBy } = await runProgram(
    'prlimit',
    [`--as=${ADDRESS_BYTES}`, process.execPath, '--input-type=module', '--eval', program],
    { environment: plainEnvironment() },
  )

  expect({ exitCode, killedBy, stderr }).toEqual({ exitCode: 0, killedBy: null, stderr: '' })
  expect(stdout.toString().trim()).toBe(sumOf([Buffer.alloc(MUCH_BYTES)]))
})
