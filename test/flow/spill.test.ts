import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

import type { SpillOptions } from '../../lib/flow/index.ts'
import { OddDisk, systemError } from '../scratch/odd-disk.ts'
import { openBelow } from '../scratch/open-files.ts'
import { collect, cutInto, fill, KIB, MIB, pattern, type Watched, watched } from './spilling.ts'

let directory: string
let disk: OddDisk
const made: Watched[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'spill-'))
  disk = new OddDisk()
})

afterEach(async () => {
  disk.before = () => {}
  await Promise.all(made.splice(0).map(({ spill }) => spill.close()))
  rmSync(directory, { recursive: true })
})

/** 1 MiB of memory, 4 MiB of disk in files of 1 MiB and records of 64 KiB. */
const makeSpill = (changes: Partial<SpillOptions> = {}): Watched => {
  const place = { directory, maxBytes: 4 * MIB, segmentBytes: MIB, recordBytes: 64 * KIB }
  const one = watched({ memoryBytes: MIB, disk: place, system: disk, ...changes })
  made.push(one)
  return one
}

const endless = function* (piece: Buffer): Generator<Buffer> {
  for (;;) yield piece
}

const diskOpen = (): number => openBelow(directory).reduce((sum, { diskBytes }) => sum + diskBytes, 0)

describe('while the consumer keeps up', () => {
  test('it gets the very buffers that were pushed, and the disk is not touched', async () => {
    const { spill, changes } = makeSpill()
    const pieces = cutInto(pattern(8 * MIB), 100 * KIB)
    const consumer = spill[Symbol.asyncIterator]()

    for (const piece of pieces) {
      await spill.push(piece)
      expect((await consumer.next()).value).toBe(piece)
    }
    spill.end()

    expect(await consumer.next()).toEqual({ done: true, value: undefined })
    expect(disk.calls).toEqual([])
    expect(changes).toEqual([])
    expect(spill.state).toMatchObject({ bytesIn: 8 * MIB, bytesOut: 8 * MIB, memoryBytes: 0, peakDiskBytes: 0 })
  })

  test('it is woken by the next push', async () => {
    const { spill } = makeSpill()
    const next = spill[Symbol.asyncIterator]().next()

    await spill.push(Buffer.from('now'))

    expect((await next).value?.toString()).toBe('now')
  })

  test('empty pieces are nothing, and the end comes to one that waits for it', async () => {
    const { spill } = makeSpill()
    const next = spill[Symbol.asyncIterator]().next()

    await spill.push(Buffer.alloc(0))
    spill.end()

    expect((await next).done).toBe(true)
  })
})

describe('while the consumer pauses', () => {
  test.each([
    ['pieces that divide the bounds', 64 * KIB],
    ['pieces that do not', 100_003],
    ['small pieces', 8 * KIB],
    ['pieces larger than the memory', 3 * MIB],
  ])('exactly memoryBytes + maxBytes get in, and then the producer waits: %s', async (_, pieceBytes) => {
    const one = makeSpill()

    await fill(one, endless(Buffer.alloc(pieceBytes, 1)))

    expect(one.spill.state).toMatchObject({
      bytesIn: 5 * MIB,
      memoryBytes: MIB,
      diskBytes: 4 * MIB,
      peakMemoryBytes: MIB,
      peakDiskBytes: 4 * MIB,
      spilling: true,
      full: true,
      producerWaitingSinceMs: 4711,
    })
    expect(diskOpen()).toBeLessThanOrEqual(4 * MIB + 4 * 4096)
  })

  test('exactly memoryBytes get in when there is no disk', async () => {
    for (const place of [undefined, { directory, maxBytes: 0 }]) {
      const one = makeSpill({ disk: place })
      await fill(one, endless(Buffer.alloc(100_003)))

      expect(one.spill.state).toMatchObject({ bytesIn: MIB, memoryBytes: MIB, full: true, spilling: false })
    }
    expect(disk.calls).toEqual([])
  })

  test('half of the memory fills before the disk is touched', async () => {
    const { spill } = makeSpill()
    for (const piece of cutInto(pattern(MIB / 2), 64 * KIB)) await spill.push(piece)
    expect(disk.calls).toEqual([])

    await spill.push(pattern(64 * KIB))
    expect(spill.state).toMatchObject({ spilling: true, memoryBytes: MIB / 2 + 64 * KIB })
    await disk.written(1)

    expect(spill.state).toMatchObject({ memoryBytes: MIB / 2, diskBytes: 64 * KIB })
  })

  test('a 16th of the memory does when the disk is to take over early', async () => {
    const { spill } = makeSpill()
    spill.spillEarly(true)

    await spill.push(pattern(MIB / 16))
    expect(disk.calls).toEqual([])
    await spill.push(pattern(64 * KIB))

    expect(spill.state.spilling).toBe(true)
  })

  test('small pieces are written in one go', async () => {
    const one = makeSpill()
    const before = MIB / 2

    for (const piece of cutInto(pattern(before + 64 * KIB), 512)) await one.spill.push(piece)
    await disk.written(1)

    expect(disk.count('writev')).toBe(1)
    expect(one.spill.state).toMatchObject({ memoryBytes: before, diskBytes: 64 * KIB })
  })

  test('nothing is to be seen in the directory', async () => {
    await fill(makeSpill(), endless(Buffer.alloc(64 * KIB)))

    expect(readdirSync(directory)).toEqual([])
    expect(openBelow(directory).map(({ bytes, mode }) => [bytes, mode])).toEqual(
      Array.from({ length: 4 }, () => [MIB, 0o600]),
    )
  })

  test('what it finds later is everything, in order', async () => {
    const one = makeSpill()
    const content = pattern(16 * MIB)
    const rest = cutInto(content, 77_777)[Symbol.iterator]()

    const { waiting } = await fill(one, { [Symbol.iterator]: () => rest })
    const collected = collect(one.spill)
    await waiting
    for (const piece of { [Symbol.iterator]: () => rest }) await one.spill.push(piece)
    one.spill.end()

    expect((await collected).equals(content)).toBe(true)
    expect(one.spill.state).toMatchObject({ memoryBytes: 0, diskBytes: 0, peakMemoryBytes: MIB, spilling: false })
    expect(one.spill.state.peakDiskBytes).toBe(4 * MIB)
    expect(openBelow(directory)).toEqual([])
  })
})

describe('when the consumer goes on', () => {
  test('the disk of each file is free as soon as its last byte was read', async () => {
    const one = makeSpill()
    await one.spill.push(pattern(4.5 * MIB))
    await disk.written(64)
    const seen: [files: number, counted: number, occupied: number][] = []
    let bytes = 0

    for await (const piece of one.spill) {
      bytes += piece.length
      const inFiles = bytes - MIB / 2 // half of the memory is older than the disk
      if (inFiles >= 0 && inFiles % (MIB / 2) === 0) {
        seen.push([openBelow(directory).length, one.spill.state.diskBytes / MIB, diskOpen() / MIB])
      }
      if (bytes === 4.5 * MIB) break
    }

    // Half a file that was read is still a file.
    expect(seen).toEqual([4, 4, 3, 3, 2, 2, 1, 1, 0].map((files) => [files, files, files]))
  })

  test('the producer goes on, too', async () => {
    const one = makeSpill()
    const { waiting } = await fill(one, endless(Buffer.alloc(64 * KIB)))
    const consumer = one.spill[Symbol.asyncIterator]()

    await consumer.next()
    await waiting

    expect(one.spill.state.producerWaitingSinceMs).toBeUndefined()
  })

  test('it goes through memory again when the disk has drained', async () => {
    const one = makeSpill()
    await one.spill.push(pattern(2 * MIB))
    const consumer = one.spill[Symbol.asyncIterator]()
    for (let bytes = 0; bytes < 2 * MIB; ) bytes += (await consumer.next()).value?.length ?? 0
    expect(openBelow(directory)).toEqual([])
    const calls = disk.calls.length

    const piece = Buffer.from('directly')
    await one.spill.push(piece)

    expect((await consumer.next()).value).toBe(piece)
    expect(disk.calls.length).toBe(calls)
  })

  test('it does not wait for a disk that hangs: what is being written is still in memory', async () => {
    const one = makeSpill()
    let letGo = () => {}
    disk.before = (call) => (call === 'writev' ? new Promise((resolve) => (letGo = resolve)) : undefined)
    const content = pattern(MIB)
    await one.spill.push(content)
    one.spill.end()

    const collected = await collect(one.spill) // the disk still hangs

    expect(collected.equals(content)).toBe(true)
    expect(one.spill.state).toMatchObject({ memoryBytes: 0, spilling: false })
    disk.before = () => {}
    letGo()
    await one.spill.close()
    expect(openBelow(directory)).toEqual([])
  })

  test('what was taken from under the disk is not read again', async () => {
    const one = makeSpill()
    let letGo = () => {}
    disk.before = (call) => (call === 'writev' ? new Promise((resolve) => (letGo = resolve)) : undefined)
    const content = pattern(4 * MIB)
    await one.spill.push(content.subarray(0, MIB))
    const consumer = one.spill[Symbol.asyncIterator]()
    const pieces: Buffer[] = []
    for (let bytes = 0; bytes < MIB; bytes += pieces.at(-1)?.length ?? 0) {
      pieces.push((await consumer.next()).value as Buffer)
    }

    disk.before = () => {}
    letGo()
    await one.spill.push(content.subarray(MIB))
    one.spill.end()

    const rest = await collect({ [Symbol.asyncIterator]: () => consumer })
    expect(Buffer.concat([...pieces, rest]).equals(content)).toBe(true)
  })

  test('records that were given back are read into again, and what comes is the same', async () => {
    const one = makeSpill()
    const content = pattern(4.5 * MIB)
    await one.spill.push(Buffer.from(content))
    await disk.written(64)
    one.spill.end()
    const memories = new Set<ArrayBufferLike>()
    const copies: Buffer[] = []

    for await (const piece of one.spill) {
      memories.add(piece.buffer)
      copies.push(Buffer.from(piece))
      one.spill.takeBack([piece.subarray(0, 1)])
      one.spill.takeBack([piece.subarray(1)])
    }

    expect(Buffer.concat(copies).equals(content)).toBe(true)
    expect(memories.size).toBe(2) // what was pushed, and one for 64 records
  })

  test('a record that was not given back is left alone', async () => {
    const one = makeSpill()
    const content = pattern(4.5 * MIB)
    await one.spill.push(Buffer.from(content))
    await disk.written(64)
    one.spill.end()
    const pieces: Buffer[] = []

    for await (const piece of one.spill) {
      pieces.push(piece)
      one.spill.takeBack([piece.subarray(1)]) // all but a byte
    }

    expect(Buffer.concat(pieces).equals(content)).toBe(true)
  })
})

describe('of what was pushed it tells', () => {
  test('what lies on the disk, and nobody is handed that: it may be written over', async () => {
    let storedBytes = 0
    const one = makeSpill({
      onStored: (pushed) => {
        for (const bytes of pushed) storedBytes += bytes.fill(0).length
      },
    })
    const content = pattern(16 * MIB)

    const rest = cutInto(Buffer.from(content), 77_777)[Symbol.iterator]()
    const { waiting } = await fill(one, { [Symbol.iterator]: () => rest })
    const collected = collect(one.spill)
    await waiting
    for (const piece of { [Symbol.iterator]: () => rest }) await one.spill.push(piece)
    one.spill.end()

    expect((await collected).equals(content)).toBe(true)
    expect(storedBytes).toBeGreaterThan(MIB)
  })

  test('nothing that was handed out while it was being written', async () => {
    const stored: Buffer[] = []
    const one = makeSpill({ onStored: (pushed) => stored.push(...pushed) })
    let letGo = () => {}
    disk.before = (call) => (call === 'writev' ? new Promise((resolve) => (letGo = resolve)) : undefined)
    await one.spill.push(pattern(MIB))
    one.spill.end()

    await collect(one.spill)
    disk.before = () => {}
    letGo()
    await one.spill.close()

    expect(stored).toEqual([])
  })
})

describe('a disk that takes no more', () => {
  test.each([
    ['no file can be made', 'open', 'EACCES', 'SCRATCH_IO'],
    ['no descriptor is left', 'open', 'EMFILE', 'SCRATCH_IO'],
    ['it is full', 'writev', 'ENOSPC', 'SCRATCH_NO_ROOM'],
    ['it breaks', 'writev', 'EIO', 'SCRATCH_IO'],
    ['nobody knows how full it is', 'statfs', 'EIO', 'SCRATCH_IO'],
  ] as const)('counts as full, and everything arrives all the same: %s', async (_, broken, system, code) => {
    const one = makeSpill()
    const content = pattern(3 * MIB)
    disk.before = (call) => {
      if (call === broken) throw systemError(system)
    }
    await one.spill.push(content.subarray(0, MIB))
    const last = one.spill.push(content.subarray(MIB))
    await one.until(({ full, diskProblem }) => full && diskProblem !== undefined)

    expect(one.spill.state).toMatchObject({ bytesIn: MIB, memoryBytes: MIB, diskBytes: 0, diskProblem: { code } })
    const collected = collect(one.spill)
    await last
    one.spill.end()
    expect((await collected).equals(content)).toBe(true)
    expect(openBelow(directory)).toEqual([])
  })

  test('keeps what it has, and gives it back', async () => {
    const one = makeSpill()
    const content = pattern(4 * MIB)
    disk.before = (call) => {
      if (call === 'writev' && disk.count('writev') > 20) throw systemError('ENOSPC')
    }

    const last = one.spill.push(content)
    await one.until(({ full }) => full)
    expect(one.spill.state).toMatchObject({ diskBytes: 20 * 64 * KIB, memoryBytes: MIB })

    const collected = collect(one.spill)
    await last
    one.spill.end()
    expect((await collected).equals(content)).toBe(true)
  })

  test('is left with its reserve', async () => {
    const one = makeSpill()
    const KIB_64 = 64 * KIB
    disk.space = () => ({ bavail: 7 * 16 - diskOpen() / KIB_64, blocks: 100 * 16, bsize: KIB_64 }) // 5 of 7 MiB are reserve

    await fill(one, endless(Buffer.alloc(64 * KIB)))

    expect(one.spill.state).toMatchObject({
      diskBytes: 2 * MIB,
      memoryBytes: MIB,
      diskProblem: { code: 'SCRATCH_NO_ROOM' },
    })
  })

  test('is tried again when a file of it has drained', async () => {
    const one = makeSpill()
    const content = pattern(8 * MIB)
    let isFull = false
    disk.before = (call) => {
      if (call === 'writev' && isFull) throw systemError('ENOSPC')
    }
    await one.spill.push(content.subarray(0, 3 * MIB))
    isFull = true
    const last = one.spill.push(content.subarray(3 * MIB))
    await one.until(({ full }) => full)
    isFull = false
    const writes = disk.count('writev')

    const collected = collect(one.spill)
    await last
    one.spill.end()

    expect((await collected).equals(content)).toBe(true)
    expect(disk.count('writev')).toBeGreaterThan(writes)
    expect(one.spill.state.diskProblem).toBeUndefined()
  })

  test('is tried again when all has drained and fills anew', async () => {
    const one = makeSpill()
    disk.before = (call) => {
      if (call === 'open') throw systemError('EMFILE')
    }
    await one.spill.push(pattern(MIB))
    await one.until(({ diskProblem }) => diskProblem !== undefined)
    const consumer = one.spill[Symbol.asyncIterator]()
    disk.before = () => {}

    for (let bytes = 0; bytes < MIB; ) bytes += (await consumer.next()).value?.length ?? 0
    await one.spill.push(pattern(MIB))

    expect(one.spill.state).toMatchObject({ spilling: true, diskProblem: undefined })
  })
})

describe('spilled bytes that do not come back', () => {
  const spilled = async (): Promise<Watched> => {
    const one = makeSpill()
    await one.spill.push(pattern(2 * MIB))
    one.spill.end()
    return one
  }

  test('are an error when the disk says so', async () => {
    const { spill } = await spilled()
    disk.before = (call) => {
      if (call === 'read') throw systemError('EIO')
    }

    await expect(collect(spill)).rejects.toMatchObject({ code: 'SCRATCH_IO', message: expect.stringMatching(/EIO/) })
    expect(spill.state.bytesOut).toBe(MIB / 2)
  })

  test('are an error when the disk says nothing and gives something else', async () => {
    const { spill } = await spilled()
    const file = `/proc/self/fd/${readdirSync('/proc/self/fd').find((fd) => fdIsBelow(fd))}`
    writeFileSync(file, Buffer.of(0xff), { flag: 'r+' }) // its first byte is 0 bits in the pattern's place

    await expect(collect(spill)).rejects.toMatchObject({
      code: 'SCRATCH_IO',
      message: expect.stringMatching(/other bytes than it was given/),
    })
  })
})

describe('when it fails', () => {
  const reason = new Error('the source has failed')

  test('the consumer hears of it at once, whatever still waits, and the disk is given back', async () => {
    const one = makeSpill()
    const { waiting } = await fill(one, endless(Buffer.alloc(64 * KIB)))
    const consumer = one.spill[Symbol.asyncIterator]()
    await consumer.next()

    one.spill.fail(reason)

    await expect(consumer.next()).rejects.toBe(reason)
    await waiting
    await one.spill.close()
    expect(openBelow(directory)).toEqual([])
    expect(one.spill.state).toMatchObject({ memoryBytes: 0, diskBytes: 0, full: false, spilling: false })
  })

  test('a consumer that waits hears of it', async () => {
    const { spill } = makeSpill()
    const next = spill[Symbol.asyncIterator]().next()

    spill.fail(reason)

    await expect(next).rejects.toBe(reason)
  })

  test('the first reason counts, and it counts after the end, too, while bytes remain', async () => {
    const { spill } = makeSpill()
    await spill.push(Buffer.of(1))
    spill.end()
    spill.fail(reason)
    spill.fail(new Error('another'))

    await expect(collect(spill)).rejects.toBe(reason)
  })

  test('whatever is thrown is what the consumer gets, undefined too', async () => {
    const { spill } = makeSpill()
    spill.fail(undefined)

    await expect(collect(spill)).rejects.toBeUndefined()
  })

  test.each(['open', 'unlink', 'statfs', 'writev', 'read', 'close'] as const)(
    'nothing stays open when that happens in the middle of %s',
    async (held) => {
      const one = makeSpill()
      let letGo = () => {}
      const reached = new Promise<void>((resolve) => {
        disk.before = (call) => {
          if (call !== held) return
          disk.before = () => {}
          resolve()
          return new Promise((go) => (letGo = go))
        }
      })
      const pushed = one.spill.push(pattern(4 * MIB))
      const consumer = (async () => {
        if (held === 'read' || held === 'close') await pushed
        return collect(one.spill)
      })()
      consumer.catch(() => {})
      await reached

      one.spill.fail(reason)
      const closed = one.spill.close()
      letGo()

      await closed
      await pushed
      await expect(consumer).rejects.toBe(reason)
      expect(openBelow(directory)).toEqual([])
    },
  )
})

describe('when it is closed', () => {
  test('nothing is open, and closing again is nothing', async () => {
    const one = makeSpill()
    const { waiting } = await fill(one, endless(Buffer.alloc(64 * KIB)))

    await Promise.all([one.spill.close(), one.spill.close()])

    expect(openBelow(directory)).toEqual([])
    await waiting
    await one.spill.push(Buffer.of(1)) // goes nowhere
    expect(one.spill.state).toMatchObject({ memoryBytes: 0, diskBytes: 0 })
  })

  test('a consumer that has not had everything never sees an end', async () => {
    const { spill } = makeSpill()
    await spill.push(Buffer.of(1))
    const consumer = spill[Symbol.asyncIterator]()
    await consumer.next()
    const next = consumer.next()
    await spill.close()

    await expect(next).rejects.toThrow('closed before its consumer had everything')
  })
})

test.each<[string, (one: Watched) => unknown]>([
  [
    'a push while another waits',
    async ({ spill }) => [spill.push(Buffer.alloc(9 * MIB)), await spill.push(Buffer.of(1))],
  ],
  ['a push after the end', async ({ spill }) => [spill.end(), await spill.push(Buffer.of(1))]],
  ['an end while a push waits', async ({ spill }) => [spill.push(Buffer.alloc(9 * MIB)), spill.end()]],
  [
    'a second consumer',
    async ({ spill }) => [
      void spill[Symbol.asyncIterator]()
        .next()
        .catch(() => {}),
      await collect(spill),
    ],
  ],
  ['a bound that leaves nothing for the disk', () => makeSpill({ memoryBytes: 1 })],
])('%s is a bug, and looks like one', async (_, misuse) => {
  await expect((async () => misuse(makeSpill()))()).rejects.toThrow(/^bug: /)
})

/** Needs root. The same is tried above, with a system that pretends. */
const mount = (at: string, bytes: number): boolean => {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'spill-test', at], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

test('a real disk that is nearly full is filled up to its reserve, and everything arrives', async () => {
  if (!mount(directory, 4 * MIB)) return
  try {
    const one = makeSpill({ disk: { directory, maxBytes: 64 * MIB, segmentBytes: MIB, recordBytes: 64 * KIB } })
    const content = pattern(16 * MIB)
    const last = one.spill.push(content)
    await one.until(({ full }) => full)

    const { diskBytes, diskProblem } = one.spill.state
    expect(diskProblem).toMatchObject({ code: 'SCRATCH_NO_ROOM' })
    expect(diskBytes).toBeGreaterThan(3.5 * MIB)
    expect(diskBytes).toBeLessThanOrEqual(3.8 * MIB)
    expect(diskOpen()).toBe(diskBytes)

    const collected = collect(one.spill)
    await last
    one.spill.end()
    expect((await collected).equals(content)).toBe(true)
    await one.spill.close()
  } finally {
    execFileSync('umount', [directory])
  }
})

const fdIsBelow = (fd: string): boolean => openTarget(fd)?.startsWith(directory) === true

const openTarget = (fd: string): string | undefined => {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return undefined
  }
}
