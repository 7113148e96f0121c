import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

import { afterEach, beforeEach, expect, test } from '@jest/globals'

import { SPOOL_BLOCK_BYTES, Spool, type SpoolRun } from '../../lib/archive/spool.ts'
import { type ScratchDisk, systemDisk } from '../../lib/scratch/index.ts'
import { OddDisk } from '../scratch/odd-disk.ts'
import { pattern } from './converting.ts'
import { makeScratch, type Scratch } from './file-trees.ts'

let scratch: Scratch
let spool: Spool

beforeEach(() => {
  scratch = makeScratch()
  spool = new Spool({ directory: scratch.directory, maxBytes: 4 * SPOOL_BLOCK_BYTES })
})

afterEach(async () => {
  await spool.close()
  scratch.remove()
})

const takeAll = async (run: SpoolRun, length: number): Promise<Buffer> => {
  const pieces: Buffer[] = []
  for await (const piece of run.take(length)) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** What this process has open below the spool's directory, as the kernel tells it. */
const openBelow = (directory: string): string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`)
      return target.startsWith(directory) ? [target] : []
    } catch {
      return [] // the descriptor with which /proc was read
    }
  })

test('gives every run back its own bytes, in order, however they were mixed', async () => {
  const [a, b] = [spool.run(), spool.run()]
  const [contentA, contentB] = [pattern(300_000, 1), pattern(300_000, 2)]

  for (let at = 0; at < 300_000; at += 70_001) {
    await a.append(contentA.subarray(at, at + 70_001))
    await b.append(contentB.subarray(at, at + 70_001))
  }

  expect((await takeAll(b, 300_000)).equals(contentB)).toBe(true)
  expect((await takeAll(a, 300_000)).equals(contentA)).toBe(true)
})

test('takes in parts, and takes more after more was appended', async () => {
  const run = spool.run()
  await run.append(Buffer.from('onetwo'))
  expect((await takeAll(run, 3)).toString()).toBe('one')

  await run.append(Buffer.from('three'))

  expect((await takeAll(run, 8)).toString()).toBe('twothree')
})

test('creates nothing before the first byte', async () => {
  spool.run()

  expect(openBelow(scratch.directory)).toEqual([])
})

test('leaves no name in the directory while it is in use, and is readable by nobody else', async () => {
  await spool.run().append(Buffer.from('secret'))

  expect(readdirSync(scratch.directory)).toEqual([])
  const [target, ...others] = openBelow(scratch.directory)
  expect(target).toMatch(/ \(deleted\)$/)
  expect(others).toEqual([])
  expect(modeOfOpen(scratch.directory)).toBe(0o600)
})

test('uses a block again as soon as it was read', async () => {
  const run = spool.run()
  const content = pattern(SPOOL_BLOCK_BYTES)

  // Twenty blocks go through a spool of four, while never more than three wait.
  await run.append(content)
  await run.append(content)
  for (let n = 0; n < 20; n += 1) {
    await run.append(content)
    expect((await takeAll(run, SPOOL_BLOCK_BYTES)).equals(content)).toBe(true)
  }

  expect(spool.peakBytes).toBe(3 * SPOOL_BLOCK_BYTES)
  expect(spool.writtenBytes).toBe(22 * SPOOL_BLOCK_BYTES)
})

test('gives the disk back when nothing waits any more', async () => {
  const run = spool.run()
  await run.append(pattern(3 * SPOOL_BLOCK_BYTES))
  expect(sizeOfOpen(scratch.directory)).toBe(3 * SPOOL_BLOCK_BYTES)

  await takeAll(run, 3 * SPOOL_BLOCK_BYTES)

  expect({ used: spool.usedBytes, size: sizeOfOpen(scratch.directory) }).toEqual({ used: 0, size: 0 })
})

test('refuses more than its limit, and says which option raises it', async () => {
  const [a, b] = [spool.run(), spool.run()]
  await a.append(pattern(3 * SPOOL_BLOCK_BYTES))
  await b.append(Buffer.from('a block of its own'))

  await expect(a.append(Buffer.of(1))).rejects.toMatchObject({
    code: 'ARCHIVE_SPOOL_FULL',
    facts: { directory: scratch.directory, usedBytes: 4 * SPOOL_BLOCK_BYTES, maxBytes: 4 * SPOOL_BLOCK_BYTES },
    hint: expect.stringContaining('--spool-bytes'),
  })
  expect(sizeOfOpen(scratch.directory)).toBeLessThanOrEqual(4 * SPOOL_BLOCK_BYTES)
})

test('refuses the first byte when its limit is below one block', async () => {
  const small = new Spool({ directory: scratch.directory, maxBytes: SPOOL_BLOCK_BYTES - 1 })

  await expect(small.run().append(Buffer.of(1))).rejects.toMatchObject({ code: 'ARCHIVE_SPOOL_FULL' })
  expect(openBelow(scratch.directory)).toEqual([])
})

test('says so when the directory does not exist', async () => {
  const directory = join(scratch.directory, 'missing')

  const lost = new Spool({ directory, maxBytes: 4 * SPOOL_BLOCK_BYTES })

  await expect(lost.run().append(Buffer.of(1))).rejects.toMatchObject({
    code: 'ARCHIVE_SPOOL_IO',
    message: expect.stringContaining('ENOENT'),
    hint: expect.stringContaining('--spool-dir'),
  })
})

test.each<[string, (trap: string, victim: string) => void]>([
  ['a link', (trap, victim) => symlinkSync(victim, trap)],
  ['a second name', (trap, victim) => linkSync(victim, trap)],
  ['a directory', (trap) => mkdirSync(trap)],
])('opens nothing that somebody put in its place: %s', async (_, set) => {
  const victim = join(scratch.directory, 'victim')
  writeFileSync(victim, 'untouched')
  set(join(scratch.directory, `.scratch-${'ab'.repeat(16)}`), victim)
  const trapped = new Spool({
    directory: scratch.directory,
    maxBytes: 4 * SPOOL_BLOCK_BYTES,
    random: (bytes) => Buffer.alloc(bytes, 0xab),
    disk: new OddDisk(), // makes no file without a name
  })

  await expect(trapped.run().append(Buffer.of(1))).rejects.toMatchObject({
    code: 'ARCHIVE_SPOOL_IO',
    message: expect.stringContaining('EEXIST'),
  })
  expect(openBelow(scratch.directory)).toEqual([])
  expect(readFileSync(victim, 'utf8')).toBe('untouched')
})

test('leaves the disk its reserve, and says what to do', async () => {
  const disk: ScratchDisk = { ...systemDisk, statfs: async () => ({ bavail: 50, blocks: 1000, bsize: 1024 }) }
  const tight = new Spool({ directory: scratch.directory, maxBytes: 4 * SPOOL_BLOCK_BYTES, disk })

  await expect(tight.run().append(Buffer.of(1))).rejects.toMatchObject({
    code: 'ARCHIVE_SPOOL_IO',
    message: expect.stringContaining('stay free for others'),
    facts: { directory: scratch.directory, freeBytes: 51_200, reserveBytes: 51_200, usedBytes: SPOOL_BLOCK_BYTES },
    hint: expect.stringContaining('--spool-dir'),
  })
  await tight.close()
})

test('has nothing open after it was closed, and can be closed twice', async () => {
  const run = spool.run()
  await run.append(Buffer.of(1))

  await spool.close()
  await spool.close()

  expect(openBelow(scratch.directory)).toEqual([])
  await expect(run.append(Buffer.of(1))).rejects.toMatchObject({ code: 'ARCHIVE_SPOOL_IO' })
})

test('has nothing open after it was closed while its file was being opened', async () => {
  const appending = spool.run().append(Buffer.of(1))

  await spool.close()

  await expect(appending).rejects.toMatchObject({ code: 'ARCHIVE_SPOOL_IO' })
  expect(openBelow(scratch.directory)).toEqual([])
  expect(readdirSync(scratch.directory)).toEqual([])
})

test('is closed when any call to close it returns, not only the first', async () => {
  await spool.run().append(Buffer.of(1))

  void spool.close()
  await spool.close()

  expect(openBelow(scratch.directory)).toEqual([])
})

const statOpen = (directory: string) => {
  const fd = readdirSync('/proc/self/fd').find((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`).startsWith(directory)
    } catch {
      return false
    }
  })
  return statSync(`/proc/self/fd/${fd}`)
}

const sizeOfOpen = (directory: string): number => statOpen(directory).size
const modeOfOpen = (directory: string): number => statOpen(directory).mode & 0o777
