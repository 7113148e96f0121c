import { describe, expect, test } from '@jest/globals'

import { XBSTREAM_LIMITS, type XbEvent, XbstreamReader } from '../../lib/archive/index.ts'
import { everyCut } from './cuts.ts'
import { endChunk, payloadChunk, sparseChunk } from './xbstream-writer.ts'

/** What a stream says, with the bytes of a file joined however they came. */
const readAll = (chunks: Iterable<Buffer>): string[] => {
  const reader = new XbstreamReader()
  const said: string[] = []
  let run: { path: string; text: string } | undefined
  const flush = () => {
    if (run !== undefined) said.push(`${run.path}: ${run.text}`)
    run = undefined
  }
  for (const chunk of chunks) {
    for (const event of reader.push(chunk)) {
      if (event.type === 'data') {
        if (run?.path !== event.path) flush()
        run ??= { path: event.path, text: '' }
        run.text += event.bytes.toString('latin1')
      } else {
        flush()
        said.push(event.type === 'hole' ? `${event.path}: hole of ${event.zeroBytes}` : `${event.path}: end`)
      }
    }
  }
  flush()
  reader.end()
  return said
}

const STREAM = Buffer.concat([
  payloadChunk('./db/a.ibd', 0, Buffer.from('first ')),
  payloadChunk('log', 0, Buffer.from('redo')),
  payloadChunk('db/a.ibd', 6, Buffer.from('second')),
  payloadChunk('hint', 0, Buffer.from('from the future'), { type: 'X', flags: 1 }),
  endChunk('db/a.ibd'),
  endChunk('db/empty.CSV'),
  payloadChunk('none', 0, Buffer.alloc(0)),
  endChunk('none'),
  sparseChunk(
    's',
    0,
    [
      [3, 2],
      [0, 1],
      [4, 0],
      [1, 1],
      [9, 0],
    ],
    Buffer.from('abcd'),
  ), // prettier: one map
  payloadChunk('s', 21, Buffer.from('!')),
  endChunk('s'),
  endChunk('log'),
])

const SAID = [
  'db/a.ibd: first ',
  'log: redo',
  'db/a.ibd: second',
  'db/a.ibd: end',
  'db/empty.CSV: end',
  'none: end',
  's: hole of 3',
  's: abc',
  's: hole of 4',
  's: hole of 1',
  's: d',
  's: hole of 9',
  's: !',
  's: end',
  'log: end',
]

describe('a stream of every kind of chunk', () => {
  test.each(everyCut(STREAM))('says the same when it is cut $cut', ({ chunks }) => {
    expect(readAll(chunks)).toEqual(SAID)
  })

  test('counts the bytes it read and the files that were closed', () => {
    const reader = new XbstreamReader()

    for (const _ of reader.push(STREAM)) {
    }

    expect({ bytes: reader.bytesRead, files: reader.files }).toEqual({ bytes: STREAM.length, files: 5 })
  })

  test('hands out views of the chunk, not copies', () => {
    const chunk = payloadChunk('f', 0, Buffer.from('seen'))

    const [event] = [...new XbstreamReader().push(chunk)] as [Extract<XbEvent, { type: 'data' }>]
    chunk.write('SEEN', chunk.length - 4) // only a view can see this

    expect(event.bytes.toString()).toBe('SEEN')
  })

  test('hands on a payload before it is whole', () => {
    const chunk = payloadChunk('f', 0, Buffer.from('0123456789'))

    const events = [...new XbstreamReader().push(chunk.subarray(0, chunk.length - 7))]

    expect(events).toEqual([{ type: 'data', path: 'f', bytes: Buffer.from('012') }])
  })
})

describe('the end of the stream', () => {
  // After these bytes every file that was opened is closed: a stream that ends here is whole.
  const wholeAt = new Set<number>([0, STREAM.length])

  test.each(everyLength(STREAM).filter((length) => !wholeAt.has(length)))('is refused after %i bytes', (length) => {
    const error = thrownBy(() => readAll([STREAM.subarray(0, length)]))

    expect(['XBSTREAM_TRUNCATED', 'XBSTREAM_FILE_OPEN']).toContain(error.code)
    expect(error.message).toContain(`${length}`)
  })

  test('is not refused where every file is closed', () => {
    const lengths = everyLength(STREAM).filter((length) => {
      try {
        readAll([STREAM.subarray(0, length)])
        return true
      } catch {
        return false
      }
    })

    expect(new Set(lengths)).toEqual(wholeAt)
  })

  test('names the files that were never closed', () => {
    const stream = Buffer.concat([1, 2, 3, 4, 5, 6, 7].map((n) => payloadChunk(`f${n}`, 0, Buffer.from('x'))))

    expect(() => readAll([stream])).toThrow(
      expect.objectContaining({
        code: 'XBSTREAM_FILE_OPEN',
        message: expect.stringContaining('"f1", "f2", "f3", "f4", "f5" and 2 more'),
        facts: expect.objectContaining({ open: 7 }),
      }),
    )
  })
})

const GOOD = payloadChunk('good', 0, Buffer.from('good'))
const flipped = (bytes: Buffer, at: number): Buffer => {
  const copy = Buffer.from(bytes)
  copy.writeUInt8(copy.readUInt8(at) ^ 0x20, at)
  return copy
}

const REFUSALS: [string, Buffer, string, string][] = [
  ['another magic', payloadChunk('f', 0, GOOD, { magic: 'XBSTCK02' }), 'XBSTREAM_CORRUPT', 'XBSTCK02'],
  ['a magic with a flipped bit', flipped(GOOD, 0), 'XBSTREAM_CORRUPT', 'magic'],
  ['text in place of a stream', Buffer.from('mariabackup: error: no'), 'XBSTREAM_CORRUPT', '"mariabac"'],
  ['an unknown type', payloadChunk('f', 0, GOOD, { type: 'X' }), 'XBSTREAM_CHUNK_UNKNOWN', '"X"'],
  [
    'an unknown type with another flag',
    payloadChunk('f', 0, GOOD, { type: 'X', flags: 2 }),
    'XBSTREAM_CHUNK_UNKNOWN',
    '"X"',
  ],
  ['type NUL', payloadChunk('f', 0, GOOD, { type: '\0' }), 'XBSTREAM_CHUNK_UNKNOWN', '\\u0000'],
  ['no name', payloadChunk('', 0, GOOD), 'XBSTREAM_CORRUPT', '0 bytes'],
  ['a name of 512 bytes', payloadChunk('f'.repeat(512), 0, GOOD), 'XBSTREAM_LIMIT', '511'],
  ['a name of 4 GiB', payloadChunk('f', 0, GOOD, { pathBytes: 0xffff_ffff }), 'XBSTREAM_LIMIT', '4294967295'],
  ['an absolute name', payloadChunk('/etc/x', 0, GOOD), 'ARCHIVE_PATH_UNSAFE', 'absolute'],
  ['a name that climbs', payloadChunk('a/../../x', 0, GOOD), 'ARCHIVE_PATH_UNSAFE', 'climbs'],
  ['a closing chunk with a name that climbs', endChunk('../x'), 'ARCHIVE_PATH_UNSAFE', 'climbs'],
  ['a name with NUL', payloadChunk('a\0b', 0, GOOD), 'ARCHIVE_PATH_UNSAFE', 'control'],
  ['a name that is no UTF-8', payloadChunk(Buffer.of(0x61, 0xff), 0, GOOD), 'ARCHIVE_PATH_UNSAFE', 'UTF-8'],
  ['a wrong checksum', payloadChunk('f', 0, GOOD, { crc: 1 }), 'XBSTREAM_CHECKSUM', '00000001'],
  ['a payload with a flipped bit', flipped(GOOD, GOOD.length - 1), 'XBSTREAM_CHECKSUM', '"good"'],
  [
    'a skipped chunk with a wrong checksum',
    payloadChunk('f', 0, GOOD, { type: 'X', flags: 1, crc: 1 }),
    'XBSTREAM_CHECKSUM',
    '"f"',
  ],
  ['a first chunk that is not the first', payloadChunk('f', 4, GOOD), 'XBSTREAM_OFFSET', 'at offset 0, found 4'],
  ['a gap', Buffer.concat([GOOD, payloadChunk('good', 5, GOOD)]), 'XBSTREAM_OFFSET', 'at offset 4, found 5'],
  ['a chunk that comes twice', Buffer.concat([GOOD, GOOD]), 'XBSTREAM_OFFSET', 'at offset 4, found 0'],
  ['a chunk after the end of its file', Buffer.concat([GOOD, endChunk('good'), GOOD]), 'XBSTREAM_AFTER_END', '"good"'],
  ['a file that comes twice', Buffer.concat([endChunk('a'), endChunk('./a')]), 'XBSTREAM_AFTER_END', '"a"'],
  [
    'a payload beyond reason',
    payloadChunk('f', 0, GOOD, { payloadBytes: 2n ** 39n + 1n }),
    'XBSTREAM_LIMIT',
    'payload',
  ],
  ['a payload beyond counting', payloadChunk('f', 0, GOOD, { payloadBytes: 2n ** 63n }), 'XBSTREAM_LIMIT', '2^53'],
  ['an offset beyond counting', payloadChunk('f', 0, GOOD, { offset: 2n ** 53n }), 'XBSTREAM_LIMIT', '2^53'],
  [
    'a sparse map beyond reason',
    sparseChunk('f', 0, [[1, 4]], GOOD, { mapEntries: 131_073 }),
    'XBSTREAM_LIMIT',
    '131073',
  ],
  [
    'a sparse map of more bytes than come',
    sparseChunk('f', 0, [[1, 5]], Buffer.from('good')),
    'XBSTREAM_CORRUPT',
    'of 4 bytes, found one of 5',
  ],
  [
    'a sparse map of fewer bytes than come',
    sparseChunk('f', 0, [[1, 3]], Buffer.from('good')),
    'XBSTREAM_CORRUPT',
    'of 4 bytes, found one of 3',
  ],
  ['a sparse chunk without a map', sparseChunk('f', 0, [], Buffer.from('good')), 'XBSTREAM_CORRUPT', 'found one of 0'],
  [
    'a sparse map with a flipped bit',
    flipped(sparseChunk('f', 0, [[1, 4]], Buffer.from('good')), 14 + 1 + 4 + 20),
    'XBSTREAM_CHECKSUM',
    '"f"',
  ],
  [
    'a gap behind a hole',
    Buffer.concat([
      sparseChunk(
        'f',
        0,
        [
          [8, 1],
          [8, 0],
        ],
        Buffer.from('x'),
      ),
      payloadChunk('f', 1, GOOD),
    ]),
    'XBSTREAM_OFFSET',
    'at offset 17, found 1',
  ],
]

describe('a stream that cannot be', () => {
  const first = Buffer.concat([payloadChunk('before', 0, Buffer.from('x')), endChunk('before')])

  test.each(REFUSALS)('is refused for %s', (_, chunk, code, words) => {
    expect(() => readAll([first, chunk])).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(words) }),
    )
  })

  test.each(REFUSALS)('is refused for %s when it comes one byte at a time', (_, chunk, code) => {
    const bytes = [...Buffer.concat([first, chunk])].map((byte) => Buffer.of(byte))

    expect(() => readAll(bytes)).toThrow(expect.objectContaining({ code }))
  })

  test('says at which byte the chunk began', () => {
    const stream = Buffer.concat([first, payloadChunk('f', 0, GOOD, { crc: 1 })])

    const error = thrownBy(() => readAll([stream]))

    expect(error.facts).toMatchObject({ at: first.length, path: 'f' })
    expect(error.message).toContain(`(xbstream chunk at byte ${first.length})`)
  })

  test('is not read any further', () => {
    const reader = new XbstreamReader()
    expect(() => [...reader.push(Buffer.from('not an xbstream'))]).toThrow('magic')

    expect(() => [...reader.push(GOOD)]).toThrow('bug')
    expect(() => reader.end()).toThrow('bug')
  })

  test('is refused for more open files than a backup program has threads', () => {
    const reader = new XbstreamReader()
    const open = (n: number) => [...reader.push(payloadChunk(`f${n}`, 0, Buffer.from('x')))]
    for (let n = 0; n < XBSTREAM_LIMITS.openFiles; n += 1) open(n)

    expect(() => open(XBSTREAM_LIMITS.openFiles)).toThrow(expect.objectContaining({ code: 'XBSTREAM_LIMIT' }))
  })
})

test('takes names of 511 bytes and the limits themselves', () => {
  const long = `${'d'.repeat(255)}/${'f'.repeat(255)}`

  expect(readAll([payloadChunk(long, 0, GOOD), endChunk(long)]).at(-1)).toBe(`${long}: end`)
})

function everyLength(bytes: Buffer): number[] {
  return Array.from({ length: bytes.length + 1 }, (_, length) => length)
}

function thrownBy(action: () => unknown): { code: string; message: string; facts: object } {
  try {
    action()
  } catch (error) {
    return error as { code: string; message: string; facts: object }
  }
  throw new Error('nothing was thrown')
}
