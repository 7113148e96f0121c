import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

import { parseMark, xbstreamToTar } from '../../lib/archive/index.ts'
import { SPOOL_BLOCK_BYTES } from '../../lib/archive/spool.ts'
import { convert, MARK, MIB, options, pattern, toAsync } from './converting.ts'
import { everyCut, inPieces } from './cuts.ts'
import { makeScratch, readTree, type Scratch, sha256 } from './file-trees.ts'
import { run, TAR_PROGRAMS } from './tar-programs.ts'
import { endChunk, fileChunks, payloadChunk, sparseChunk } from './xbstream-writer.ts'

let scratch: Scratch
let spool: Scratch

beforeEach(() => {
  scratch = makeScratch()
  spool = makeScratch()
})

afterEach(() => {
  scratch.remove()
  spool.remove()
})

/** What GNU tar makes of it; any complaint fails the test. */
const unpack = (tar: Buffer): Map<string, string> => {
  const into = makeScratch()
  try {
    const { status, stderr } = run(TAR_PROGRAMS['GNU tar']?.(into.directory) ?? [], tar)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    return new Map([...readTree(into.directory)].filter(([, what]) => what !== 'directory'))
  } finally {
    into.remove()
  }
}

const treeOf = (files: Readonly<Record<string, Buffer>>): Map<string, string> =>
  new Map(
    Object.entries(files)
      .map(([path, content]): [string, string] => [path, `${content.length} ${sha256(content)}`])
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  )

const SMALL = {
  'db/t.frm': pattern(20, 1),
  'db/slow_log.CSV': Buffer.alloc(0),
  ib_logfile0: pattern(30, 2),
}

const SMALL_STREAM = Buffer.concat([
  payloadChunk('ib_logfile0', 0, SMALL.ib_logfile0.subarray(0, 11)),
  fileChunks('./db/t.frm', SMALL['db/t.frm']),
  endChunk('db/slow_log.CSV'),
  payloadChunk('ib_logfile0', 11, SMALL.ib_logfile0.subarray(11)),
  endChunk('ib_logfile0'),
])

describe('a small stream', () => {
  test('becomes an archive with every file and every byte', async () => {
    const { tar, members } = await convert([SMALL_STREAM], spool.directory)

    expect(unpack(tar)).toEqual(treeOf(SMALL))
    expect(members).toEqual([
      ['db/t.frm', 20],
      ['db/slow_log.CSV', 0],
      ['ib_logfile0', 30],
    ])
  })

  test('becomes the same archive however it is cut', async () => {
    const { tar } = await convert([SMALL_STREAM], spool.directory)

    for (const { chunks, cut } of everyCut(SMALL_STREAM)) {
      const other = await convert(chunks, spool.directory)

      expect({ cut, same: other.tar.equals(tar) }).toEqual({ cut, same: true })
    }
  })

  test('keeps nothing of a chunk that was only lent', async () => {
    const stream = Buffer.concat([fileChunks('db/first.frm', pattern(100, 7)), SMALL_STREAM])
    const { tar } = await convert([stream], spool.directory)

    for (let at = 1; at < stream.length; at += 1) {
      const first = Buffer.from(stream.subarray(0, at))
      const lending = async function* () {
        yield first
        first.fill('!')
        yield stream.subarray(at)
      }
      const lent = await convert(lending(), spool.directory)

      expect({ at, same: lent.tar.equals(tar) }).toEqual({ at, same: true })
    }
  })

  test('gets no end when it stops too early, wherever that is', async () => {
    const { tar } = await convert([SMALL_STREAM], spool.directory)
    const end = tar.subarray(-1024)
    expect(end.equals(Buffer.alloc(1024))).toBe(true)

    for (let length = 1; length < SMALL_STREAM.length; length += 1) {
      const pieces: Buffer[] = []
      const asked: number[] = []
      const settings = options(spool.directory, { beforeEnd: async () => void asked.push(length) })
      const failing = async () => {
        for await (const piece of xbstreamToTar(toAsync([SMALL_STREAM.subarray(0, length)]), settings))
          pieces.push(piece)
      }

      await expect(failing()).rejects.toMatchObject({ code: expect.stringMatching(/^XBSTREAM_(TRUNCATED|FILE_OPEN)$/) })
      const written = Buffer.concat(pieces)
      expect({
        length,
        asked,
        isStart: tar.subarray(0, written.length).equals(written),
        end: written.length < tar.length - 1024,
      }).toEqual({
        length,
        asked: [],
        isStart: true,
        end: true,
      })
    }
  })

  test('says what it wrote before the archive gets its end', async () => {
    const { tar, summary } = await convert([SMALL_STREAM], spool.directory)

    expect(summary).toMatchObject({
      members: 3,
      archiveBytes: tar.length - 1024,
      contentBytes: 50,
      xbstreamBytes: SMALL_STREAM.length,
      padded: [],
      metadata: { checkpoints: undefined, info: undefined, configuration: undefined, redoLog: 'ib_logfile0' },
      peakSpoolBytes: 0,
      spooledBytes: 0,
    })
  })

  test('gets the mark first', async () => {
    const { tar } = await convert([SMALL_STREAM], spool.directory)

    const comment = /comment=(.*)\n/.exec(tar.toString('utf8', 512, 1024))?.[1] ?? ''
    expect(parseMark(comment)).toEqual(MARK)
  })

  test('gives its members the mode, owner and time of a server file', async () => {
    const { tar } = await convert([SMALL_STREAM], spool.directory)

    const { stdout } = run(['tar', '-tv', '--full-time', '-f', '-'], tar)

    expect(stdout.split('\n')[0]).toMatch(/^-rw-r----- mysql\/mysql +20 2024-02-29 12:00:00 db\/t\.frm$/)
  })

  test('gets no end when the verdict is bad', async () => {
    const pieces: Buffer[] = []
    const settings = options(spool.directory, { beforeEnd: () => Promise.reject(new Error('the child failed')) })

    const reading = async () => {
      for await (const piece of xbstreamToTar(toAsync([SMALL_STREAM]), settings)) pieces.push(piece)
    }

    await expect(reading()).rejects.toThrow('the child failed')
    const { tar } = await convert([SMALL_STREAM], spool.directory)
    expect(Buffer.concat(pieces).equals(tar.subarray(0, -1024))).toBe(true)
  })

  test('asks for the verdict only when everything before was taken', async () => {
    let takenBytes = 0
    let askedAt = -1
    const settings = options(spool.directory, {
      beforeEnd: async ({ archiveBytes }) => {
        expect(takenBytes).toBe(archiveBytes)
        askedAt = takenBytes
      },
    })

    for await (const piece of xbstreamToTar(toAsync([SMALL_STREAM]), settings)) takenBytes += piece.length

    expect(takenBytes - askedAt).toBe(1024)
  })

  test('is refused as soon as the reader refuses it, and the source is told to stop', async () => {
    let stopped = false
    const source = async function* () {
      try {
        yield SMALL_STREAM
        yield payloadChunk('f', 0, pattern(10), { crc: 1 })
        yield SMALL_STREAM
      } finally {
        stopped = true
      }
    }

    await expect(convert(source(), spool.directory)).rejects.toMatchObject({ code: 'XBSTREAM_CHECKSUM' })
    expect(stopped).toBe(true)
  })
})

// With 4 MiB in all, one file may take 1 MiB.
const TIGHT = { memoryBytes: 4 * MIB }
const BIG = pattern(3 * MIB + 12_345, 7)

describe('the first rule: a file that ends while it fits into memory', () => {
  test('asks nobody for its size and leaves the spool alone', async () => {
    const asked: string[] = []
    const files = { 'db/a.ibd': pattern(900_000, 1), ibdata1: pattern(900_000, 2) }
    const stream = Buffer.concat(Object.entries(files).map(([path, content]) => fileChunks(path, content)))

    const { tar, summary } = await convert(inPieces(stream), spool.directory, {
      ...TIGHT,
      sizeOf: (path) => void asked.push(path),
    })

    expect(unpack(tar)).toEqual(treeOf(files))
    expect({ asked, spooled: summary.peakSpoolBytes }).toEqual({ asked: [], spooled: 0 })
  })
})

describe('the second rule: a locked table that does not fit', () => {
  const stream = fileChunks('db/big.MYD', BIG, MIB)

  test('is written while it comes, when it is at rest', async () => {
    const { tar, summary } = await convert(inPieces(stream), spool.directory, {
      ...TIGHT,
      restingSizeOf: (path) => (path === 'db/big.MYD' ? BIG.length : undefined),
    })

    expect(unpack(tar)).toEqual(treeOf({ 'db/big.MYD': BIG }))
    expect(summary).toMatchObject({ spooledBytes: 0, padded: [] })
  })

  test.each([
    ['one byte fewer, and nothing is filled up', BIG.length + 1, 'ARCHIVE_MEMBER_CHANGED'],
    ['one byte more', BIG.length - 1, 'ARCHIVE_MEMBER_LONGER'],
  ])('fails the archive when it turns out to have %s', async (_, sizeBytes, code) => {
    const converting = convert(inPieces(stream), spool.directory, { ...TIGHT, restingSizeOf: () => sizeBytes })

    await expect(converting).rejects.toMatchObject({ code, facts: { path: 'db/big.MYD', sizeBytes } })
  })

  test.each([
    ['a table that is not at rest', 'db/big.MYD', undefined],
    ['a log or a statistic of the server', 'mysql/general_log.MYD', BIG.length],
    ['a table of Aria, which is copied before the lock', 'db/big.MAD', BIG.length],
    ['the redo log', 'ib_logfile0', BIG.length],
  ])('goes to the spool when it is %s', async (_, path, size) => {
    const { tar, summary } = await convert(inPieces(fileChunks(path, BIG, MIB)), spool.directory, {
      ...TIGHT,
      sizeOf: () => size,
      restingSizeOf: () => size,
    })

    expect(unpack(tar)).toEqual(treeOf({ [path]: BIG }))
    expect(summary.spooledBytes).toBeGreaterThanOrEqual(BIG.length)
  })
})

describe('the second rule: a tablespace that does not fit', () => {
  const stream = fileChunks('db/big.ibd', BIG, MIB)
  const sized = { ...TIGHT, sizeOf: () => BIG.length }

  test('is asked for its size once, and written while it comes', async () => {
    const asked: string[] = []
    let pulled = 0
    let firstBigPiece = 0
    const source = async function* () {
      for (const piece of inPieces(stream)) {
        pulled += piece.length
        yield piece
      }
    }
    const settings = options(spool.directory, {
      ...TIGHT,
      sizeOf: (path) => {
        asked.push(path)
        return BIG.length
      },
    })

    const pieces: Buffer[] = []
    for await (const piece of xbstreamToTar(source(), settings)) {
      pieces.push(piece)
      if (firstBigPiece === 0 && piece.length > 8192) firstBigPiece = pulled
    }

    expect(unpack(Buffer.concat(pieces))).toEqual(treeOf({ 'db/big.ibd': BIG }))
    expect(asked).toEqual(['db/big.ibd'])
    expect(firstBigPiece).toBeLessThan(1.2 * MIB)
  })

  test('is filled up with zeros when it stops short, and that is recorded', async () => {
    const sizeBytes = BIG.length + 200_000

    const { tar, summary, members } = await convert(inPieces(stream), spool.directory, {
      ...TIGHT,
      sizeOf: () => sizeBytes,
    })

    expect(unpack(tar)).toEqual(treeOf({ 'db/big.ibd': Buffer.concat([BIG, Buffer.alloc(200_000)]) }))
    expect(summary.padded).toEqual([{ path: 'db/big.ibd', zeroBytes: 200_000 }])
    expect(members).toEqual([['db/big.ibd', sizeBytes]])
  })

  test('fails the archive when it goes on', async () => {
    const converting = convert(inPieces(stream), spool.directory, { ...TIGHT, sizeOf: () => BIG.length - 1 })

    await expect(converting).rejects.toMatchObject({
      code: 'ARCHIVE_MEMBER_LONGER',
      facts: { path: 'db/big.ibd', sizeBytes: BIG.length - 1 },
    })
  })

  test.each([
    ['when its size is not known', () => undefined],
    ['when its size cannot be, because more has come already', () => 1000],
  ])('goes to the spool %s', async (_, sizeOf) => {
    const { tar, summary } = await convert(inPieces(stream), spool.directory, { ...TIGHT, sizeOf })

    expect(unpack(tar)).toEqual(treeOf({ 'db/big.ibd': BIG }))
    expect(summary.peakSpoolBytes).toBeGreaterThanOrEqual(BIG.length)
    expect(summary.spooledBytes).toBe(BIG.length)
    expect(summary.padded).toEqual([])
  })

  test('goes to the spool while another one is being written', async () => {
    const other = pattern(2 * MIB + 99, 8)
    const mixed = Buffer.concat([
      payloadChunk('db/big.ibd', 0, BIG.subarray(0, 2 * MIB)),
      payloadChunk('db/other.ibd', 0, other),
      endChunk('db/other.ibd'),
      payloadChunk('db/big.ibd', 2 * MIB, BIG.subarray(2 * MIB)),
      endChunk('db/big.ibd'),
    ])
    const asked: string[] = []

    const { tar, summary, members } = await convert(inPieces(mixed), spool.directory, {
      ...TIGHT,
      sizeOf: (path) => {
        asked.push(path)
        return path === 'db/big.ibd' ? BIG.length : other.length
      },
    })

    expect(unpack(tar)).toEqual(treeOf({ 'db/big.ibd': BIG, 'db/other.ibd': other }))
    expect(members.map(([path]) => path)).toEqual(['db/big.ibd', 'db/other.ibd'])
    expect(asked).toEqual(['db/big.ibd'])
    expect(summary.peakSpoolBytes).toBeGreaterThanOrEqual(other.length)
  })

  test('keeps files that end meanwhile in memory, in the order of their ends', async () => {
    const small = { 'a.frm': pattern(1000, 1), 'b.frm': pattern(0, 2), 'c.frm': pattern(70_000, 3) }
    const mixed = Buffer.concat([
      payloadChunk('db/big.ibd', 0, BIG.subarray(0, 2 * MIB)),
      ...Object.entries(small).map(([path, content]) => fileChunks(path, content)),
      payloadChunk('db/big.ibd', 2 * MIB, BIG.subarray(2 * MIB)),
      endChunk('db/big.ibd'),
      fileChunks('d.frm', pattern(10, 4)),
    ])

    const { tar, summary, members } = await convert(inPieces(mixed), spool.directory, sized)

    expect(unpack(tar)).toEqual(treeOf({ ...small, 'd.frm': pattern(10, 4), 'db/big.ibd': BIG }))
    expect(members.map(([path]) => path)).toEqual(['db/big.ibd', 'a.frm', 'b.frm', 'c.frm', 'd.frm'])
    expect(summary.peakSpoolBytes).toBe(0)
  })

  test('sends files that end meanwhile to the spool when together they outgrow the memory', async () => {
    const many = Object.fromEntries(
      Array.from({ length: 300 }, (_, n) => [`f${String(n).padStart(3, '0')}.frm`, pattern(n * 137, n + 1)]),
    )
    const mixed = Buffer.concat([
      payloadChunk('db/big.ibd', 0, BIG.subarray(0, 2 * MIB)),
      ...Object.entries(many).map(([path, content]) => fileChunks(path, content)),
      payloadChunk('db/big.ibd', 2 * MIB, BIG.subarray(2 * MIB)),
      endChunk('db/big.ibd'),
    ])

    const { tar, summary, members } = await convert(inPieces(mixed), spool.directory, sized)

    expect(unpack(tar)).toEqual(treeOf({ ...many, 'db/big.ibd': BIG }))
    expect(members.map(([path]) => path)).toEqual(['db/big.ibd', ...Object.keys(many)])
    expect(summary.peakMemoryBytes).toBeLessThanOrEqual(TIGHT.memoryBytes)
    expect(summary.peakSpoolBytes).toBeGreaterThan(MIB)
  })
})

describe('the third rule: everything else', () => {
  test.each(['ib_logfile0', 'xtrabackup_logfile', 'aria_log.00000001', 'db/t.MYD', 'db/t.ibd.delta', 'ibdata1.delta'])(
    'sends %s to the spool when it does not fit, and asks nobody for its size',
    async (path) => {
      const asked: string[] = []

      const { tar, summary } = await convert(inPieces(fileChunks(path, BIG, MIB)), spool.directory, {
        ...TIGHT,
        sizeOf: (name) => {
          asked.push(name)
          return BIG.length + 4096
        },
      })

      expect(unpack(tar)).toEqual(treeOf({ [path]: BIG }))
      expect({ asked, padded: summary.padded }).toEqual({ asked: [], padded: [] })
      expect(summary.peakSpoolBytes).toBeGreaterThanOrEqual(BIG.length)
    },
  )

  test('writes the redo log at its end, behind everything that ended before', async () => {
    const redo = pattern(2 * MIB, 3)
    const stream = Buffer.concat([
      payloadChunk('ib_logfile0', 0, redo.subarray(0, MIB)),
      fileChunks('db/big.ibd', BIG, MIB),
      payloadChunk('ib_logfile0', MIB, redo.subarray(MIB)),
      fileChunks('db/t.frm', pattern(50)),
      endChunk('ib_logfile0'),
      fileChunks('xtrabackup_info', pattern(60)),
    ])

    const { tar, members } = await convert(inPieces(stream), spool.directory, { ...TIGHT, sizeOf: () => BIG.length })

    expect(members.map(([path]) => path)).toEqual(['db/big.ibd', 'db/t.frm', 'ib_logfile0', 'xtrabackup_info'])
    expect(unpack(tar).get('ib_logfile0')).toBe(`${redo.length} ${sha256(redo)}`)
  })

  test('sends the largest open file to the spool when all open ones together outgrow the memory', async () => {
    const files = Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`t${n}.MYD`, pattern(700_000 + n, n + 1)]))
    const entries = Object.entries(files)
    const stream = Buffer.concat([
      ...entries.map(([path, content]) => payloadChunk(path, 0, content)),
      ...entries.map(([path]) => endChunk(path)),
    ])

    const { tar, summary } = await convert(inPieces(stream), spool.directory, TIGHT)

    expect(unpack(tar)).toEqual(treeOf(files))
    expect(summary.peakMemoryBytes).toBeLessThanOrEqual(TIGHT.memoryBytes)
    expect(summary.peakSpoolBytes).toBeGreaterThan(0)
  })

  test('counts a small file that a chunk cuts, too', async () => {
    const share = TIGHT.memoryBytes / 4
    const files = Object.fromEntries(Array.from({ length: 4 }, (_, n) => [`t${n}.MYD`, pattern(share, n + 1)]))
    const entries = Object.entries(files)
    const small = fileChunks('t.frm', pattern(8000))

    const { tar, summary } = await convert(
      [
        Buffer.concat(entries.map(([path, content]) => payloadChunk(path, 0, content))),
        small.subarray(0, 4000),
        small.subarray(4000),
        ...entries.map(([path]) => endChunk(path)),
      ],
      spool.directory,
      TIGHT,
    )

    expect(unpack(tar)).toEqual(treeOf({ ...files, 't.frm': pattern(8000) }))
    expect(summary.peakMemoryBytes).toBe(TIGHT.memoryBytes)
  })

  test('fails with figures and a way out when the spool is full', async () => {
    const maxBytes = 2 * MIB

    const converting = convert(inPieces(fileChunks('ib_logfile0', BIG, MIB)), spool.directory, {
      ...TIGHT,
      spool: { directory: spool.directory, maxBytes },
    })

    await expect(converting).rejects.toMatchObject({
      code: 'ARCHIVE_SPOOL_FULL',
      facts: { directory: spool.directory, usedBytes: maxBytes, maxBytes, blockBytes: SPOOL_BLOCK_BYTES },
      hint: expect.stringContaining('--spool-bytes'),
    })
  })

  test('uses the room in the spool again for the next file', async () => {
    const stream = Buffer.concat(Array.from({ length: 6 }, (_, n) => fileChunks(`t${n}.MYD`, BIG, MIB)))

    const { summary } = await convert(inPieces(stream), spool.directory, {
      ...TIGHT,
      spool: { directory: spool.directory, maxBytes: BIG.length + SPOOL_BLOCK_BYTES },
    })

    expect(summary.members).toBe(6)
  })
})

describe('holes', () => {
  const hole = 5 * MIB
  const content = Buffer.concat([Buffer.from('head'), Buffer.alloc(hole), Buffer.from('tail'), Buffer.alloc(4096)])
  const stream = (path: string) =>
    Buffer.concat([
      sparseChunk(
        path,
        0,
        [
          [0, 4],
          [hole, 4],
          [4096, 0],
        ],
        Buffer.from('headtail'),
      ),
      endChunk(path),
    ])

  test('become zeros, from the spool', async () => {
    const { tar } = await convert([stream('db/t.MYD')], spool.directory, TIGHT)

    expect(unpack(tar)).toEqual(treeOf({ 'db/t.MYD': content }))
  })

  test('become zeros in a tablespace that is written while it comes', async () => {
    const { tar, summary } = await convert([stream('db/t.ibd')], spool.directory, {
      ...TIGHT,
      sizeOf: () => content.length,
    })

    expect(unpack(tar)).toEqual(treeOf({ 'db/t.ibd': content }))
    expect(summary.peakSpoolBytes).toBe(0)
  })
})
