import { readdirSync, readlinkSync } from 'node:fs'
import { crc32 } from 'node:zlib'

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

import { type TarSummary, xbstreamToTar } from '../../lib/archive/index.ts'
import { MIB, options, pattern, toAsync } from './converting.ts'
import { inPieces } from './cuts.ts'
import { makeScratch, type Scratch } from './file-trees.ts'
import { endChunk, fileChunks, payloadChunk } from './xbstream-writer.ts'

let spool: Scratch

beforeEach(() => {
  spool = makeScratch()
})

afterEach(() => spool.remove())

/** Descriptors of this process that lead into the spool's directory. */
const spoolsOpen = (): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(spool.directory)
    } catch {
      return false // the descriptor with which /proc was read
    }
  }).length

/**
 * A stream as a backup program writes it: the redo log open from start to end, and one big table.
 *
 * It is made while it is read, and every piece has memory of its own.
 */
const backupOf = async function* (tableBytes: number, redoBytes: number): AsyncGenerator<Buffer> {
  const payload = pattern(10 * MIB)
  const crc = crc32(payload)
  const redoStep = Math.floor(redoBytes / (tableBytes / payload.length))
  const redo = pattern(redoStep)
  for (let at = 0, redoAt = 0; at < tableBytes; at += payload.length, redoAt += redoStep) {
    yield* inPieces(payloadChunk('db/big.ibd', at, payload, { crc }))
    yield* inPieces(payloadChunk('ib_logfile0', redoAt, redo))
  }
  yield endChunk('db/big.ibd')
  yield endChunk('ib_logfile0')
}

describe('memory', () => {
  test('does not grow with the backup: 1000 MiB of table, 200 MiB of redo log', async () => {
    const tableBytes = 1000 * MIB
    const redoBytes = 200 * MIB
    let summary: TarSummary | undefined
    const settings = options(spool.directory, {
      memoryBytes: 16 * MIB,
      sizeOf: () => tableBytes,
      beforeEnd: async (found) => {
        summary = found
      },
    })
    let archiveBytes = 0
    let peakResident = 0
    const before = process.memoryUsage.rss()

    for await (const piece of xbstreamToTar(backupOf(tableBytes, redoBytes), settings)) {
      archiveBytes += piece.length
      peakResident = Math.max(peakResident, process.memoryUsage.rss())
    }

    expect(archiveBytes).toBeGreaterThan(tableBytes + redoBytes)
    expect(summary).toMatchObject({ members: 2, padded: [] })
    expect(summary?.peakMemoryBytes).toBeLessThanOrEqual(16 * MIB)
    // Generous: the garbage collector is in no hurry, and the test makes garbage of its own.
    expect(peakResident - before).toBeLessThan(200 * MIB)
  })

  test('keeps within its bound when small pieces of large chunks are kept', async () => {
    // Every chunk from the pipe holds 40 bytes for each of 100 files that stay open.
    const round = (at: number) =>
      Buffer.concat(Array.from({ length: 100 }, (_, n) => payloadChunk(`f${n}.MYD`, at, pattern(40))))
    const source = async function* () {
      for (let n = 0; n < 500; n += 1)
        yield Buffer.concat([round(n * 40), fileChunks(`filler${n}`, Buffer.alloc(60_000))])
      for (let n = 0; n < 100; n += 1) yield endChunk(`f${n}.MYD`)
    }
    let peak = 0
    const settings = options(spool.directory, {
      beforeEnd: async ({ peakMemoryBytes }) => {
        peak = peakMemoryBytes
      },
    })

    for await (const _ of xbstreamToTar(source(), settings)) {
    }

    expect(peak).toBeLessThan(2 * 100 * 500 * 40 + 200_000)
  })
})

describe('back-pressure', () => {
  test('takes nothing from the source while nobody asks for bytes', async () => {
    let pulled = 0
    const source = async function* () {
      for await (const piece of backupOf(100 * MIB, MIB)) {
        pulled += piece.length
        yield piece
      }
    }
    const archive = xbstreamToTar(source(), options(spool.directory, { sizeOf: () => 100 * MIB }))

    await archive.next() // the mark needs nothing from the source
    expect(pulled).toBe(0)
    while (pulled < 20 * MIB) await archive.next()
    const pulledThen = pulled
    await turnsOfTheLoop(20)

    expect(pulled).toBe(pulledThen)
    await archive.return(undefined)
  })
})

describe('when it ends before its end', () => {
  /** A stream that has something in the spool and a member half written. */
  const halfway = async function* (
    log: string[],
    then: 'goes on' | 'hangs' | 'fails' = 'goes on',
  ): AsyncGenerator<Buffer> {
    try {
      yield* inPieces(payloadChunk('ib_logfile0', 0, pattern(3 * MIB)))
      yield* inPieces(payloadChunk('db/big.ibd', 0, pattern(3 * MIB)))
      if (then === 'hangs') await new Promise(() => {})
      if (then === 'fails') throw new Error('the pipe broke')
      yield* inPieces(payloadChunk('db/big.ibd', 3 * MIB, pattern(3 * MIB)))
    } finally {
      log.push('source stopped')
    }
  }
  const settings = (signal?: AbortSignal) =>
    options(spool.directory, {
      memoryBytes: 4 * MIB,
      sizeOf: () => 6 * MIB,
      ...(signal === undefined ? {} : { signal }),
    })

  test('closes the spool and stops the source when the consumer returns early', async () => {
    const log: string[] = []
    let bytes = 0

    for await (const piece of xbstreamToTar(halfway(log), settings())) {
      bytes += piece.length
      if (bytes > 2 * MIB) {
        expect(spoolsOpen()).toBe(1)
        break
      }
    }

    expect({ log, open: spoolsOpen() }).toEqual({ log: ['source stopped'], open: 0 })
  })

  test('closes the spool and stops the source when the consumer throws', async () => {
    const log: string[] = []

    const consuming = async () => {
      for await (const piece of xbstreamToTar(halfway(log), settings())) {
        if (piece.length > 8192) throw new Error('the socket broke')
      }
    }

    await expect(consuming()).rejects.toThrow('the socket broke')
    expect({ log, open: spoolsOpen() }).toEqual({ log: ['source stopped'], open: 0 })
  })

  test('closes the spool when the source fails', async () => {
    const log: string[] = []

    await expect(drain(xbstreamToTar(halfway(log, 'fails'), settings()))).rejects.toThrow('the pipe broke')

    expect(spoolsOpen()).toBe(0)
  })

  test('closes the spool when the stream is refused', async () => {
    const source = toAsync([payloadChunk('ib_logfile0', 0, pattern(3 * MIB)), Buffer.from('XBSTCK02-------')])

    await expect(drain(xbstreamToTar(source, settings()))).rejects.toMatchObject({ code: 'XBSTREAM_CORRUPT' })

    expect(spoolsOpen()).toBe(0)
  })

  test('ends with the reason, at once, when it is aborted while the source hangs', async () => {
    const controller = new AbortController()
    const archive = xbstreamToTar(halfway([], 'hangs'), settings(controller.signal))
    let bytes = 0
    while (bytes < 2.9 * MIB) bytes += (await archive.next()).value?.length ?? 0

    const reading = drain(archive)
    await turnsOfTheLoop(5)
    controller.abort(new Error('cancelled'))

    await expect(reading).rejects.toThrow('cancelled')
    expect(spoolsOpen()).toBe(0)
  })

  test('gives the spool back when it is aborted while nobody asks for bytes', async () => {
    const log: string[] = []
    const controller = new AbortController()
    const archive = xbstreamToTar(halfway(log), settings(controller.signal))
    for (let bytes = 0; bytes < MIB; ) bytes += (await archive.next()).value?.length ?? 0
    expect(spoolsOpen()).toBe(1)

    controller.abort(new Error('cancelled'))
    while (spoolsOpen() > 0) await turnsOfTheLoop(1) // nobody asks for bytes, and yet this ends

    await expect(drain(archive)).rejects.toThrow('cancelled')
    expect(log).toEqual(['source stopped'])
  })

  test('touches neither source nor spool when it was aborted before', async () => {
    const log: string[] = []

    const archive = xbstreamToTar(halfway(log), settings(AbortSignal.abort(new Error('cancelled'))))

    await expect(drain(archive)).rejects.toThrow('cancelled')
    expect({ log, open: spoolsOpen() }).toEqual({ log: [], open: 0 })
  })

  test('never ends well after an abort, at whichever byte it came', async () => {
    const small = Buffer.concat([
      fileChunks('a', pattern(100_000)),
      fileChunks('b', pattern(5)),
      fileChunks('c', pattern(20_000)),
    ])
    const pieces = await drain(xbstreamToTar(toAsync([small]), settings()))

    for (let at = 0; at < pieces - 1; at += 1) {
      const controller = new AbortController()
      const archive = xbstreamToTar(toAsync([small]), settings(controller.signal))
      for (let n = 0; n <= at; n += 1) await archive.next()
      controller.abort(new Error(`cancelled at ${at}`))

      await expect(drain(archive)).rejects.toThrow(`cancelled at ${at}`)
    }
  })

  test('leaves no listener on the signal', async () => {
    const controller = new AbortController()
    let listeners = 0
    const { signal } = controller
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners += 1
      add(...args)
    }
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners -= 1
      remove(...args)
    }

    await drain(xbstreamToTar(toAsync([fileChunks('a', pattern(10))]), settings(signal)))

    expect(listeners).toBe(0)
  })
})

const drain = async (archive: AsyncIterable<Buffer>): Promise<number> => {
  let pieces = 0
  for await (const _ of archive) pieces += 1
  return pieces
}

/** Lets everything run that is able to run without being asked. */
const turnsOfTheLoop = async (turns: number): Promise<void> => {
  for (let n = 0; n < turns; n += 1) await new Promise((resolve) => setImmediate(resolve))
}
