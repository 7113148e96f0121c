import { describe, expect, test } from '@jest/globals'

import {
  blockFrame,
  dataFrames,
  ENCODINGS,
  FRAMED_MIME,
  FRAME_HEADER_BYTES,
  FrameReader,
  MAX_BLOCK_FRAME_BYTES,
  MAX_FRAME_BYTES,
} from '../../lib/encodings/index.ts'
import { LIMITS } from '../../lib/protocol/index.ts'
import { type FramedOutcome, framedOutcome } from './framed-streams.ts'
import { cutAt, everyCut, oneByteAtATime } from './streams.ts'

const frame = (letter: string, payload: string | Buffer): Buffer => {
  const bytes = Buffer.from(payload)
  return Buffer.concat([headerOf(letter, bytes.length), bytes])
}

/** A header alone, whatever it says. */
const headerOf = (letter: string, payloadBytes: number): Buffer => {
  const header = Buffer.alloc(FRAME_HEADER_BYTES)
  header.write(letter, 'latin1')
  header.writeUInt32BE(payloadBytes, 1)
  return header
}

const STREAM = Buffer.concat([
  frame('P', '1\na=1\n\n'),
  frame('D', 'tar bytes, E and D among them'),
  frame('D', 'x'),
  frame('P', '0\n\n'),
  frame('D', '\0\n'),
  frame('E', '1\nstatus=COMPLETE\n\n'),
])

describe('frames are written', () => {
  test('with a letter and four bytes of length in front, the highest first', () => {
    expect(Buffer.concat(dataFrames(Buffer.alloc(0x0102, 'a'))).toString('latin1')).toBe(
      `D\x00\x00\x01\x02${'a'.repeat(0x0102)}`,
    )
    expect(blockFrame('progress', Buffer.from('0\n\n')).toString('latin1')).toBe('P\x00\x00\x00\x030\n\n')
    expect(blockFrame('end', Buffer.from('0\n\n')).toString('latin1')).toBe('E\x00\x00\x00\x030\n\n')
  })

  test('around views of the bytes, which are not copied', () => {
    const bytes = Buffer.from('before')

    const [, payload] = dataFrames(bytes)
    bytes.write('AFTER!')

    expect(payload?.toString()).toBe('AFTER!')
  })

  test.each([
    ['nothing', 0, []],
    ['one byte', 1, [1]],
    ['the longest frame', MAX_FRAME_BYTES, [MAX_FRAME_BYTES]],
    ['one byte over it', MAX_FRAME_BYTES + 1, [MAX_FRAME_BYTES, 1]],
    ['twice the longest', 2 * MAX_FRAME_BYTES, [MAX_FRAME_BYTES, MAX_FRAME_BYTES]],
  ])('of %s as so many data frames', (_, bytes, sizes) => {
    const frames = dataFrames(Buffer.alloc(bytes, 'z'))

    expect(frames.filter((_bytes, index) => index % 2 === 1).map(({ length }) => length)).toEqual(sizes)
    expect(frames.filter((_bytes, index) => index % 2 === 0).map((header) => header.readUInt32BE(1))).toEqual(sizes)
  })

  test('never with a block that no reader takes', () => {
    expect(() => blockFrame('end', Buffer.alloc(0))).toThrow(/^bug: /)
    expect(() => blockFrame('end', Buffer.alloc(MAX_BLOCK_FRAME_BYTES + 1))).toThrow(/^bug: /)
    expect(blockFrame('progress', Buffer.alloc(MAX_BLOCK_FRAME_BYTES))).toHaveLength(5 + MAX_BLOCK_FRAME_BYTES)
  })
})

test.each([...everyCut(STREAM)])('a stream is read the same when it is cut $cut', ({ chunks }) => {
  expect(framedOutcome(chunks)).toEqual({
    seen: [
      ['progress', '1\na=1\n\n'],
      ['data', 'tar bytes, E and D among themx'],
      ['progress', '0\n\n'],
      ['data', '\0\n'],
      ['end', '1\nstatus=COMPLETE\n\n'],
    ],
  })
})

describe('what a reader hands on', () => {
  test('is every byte of a data frame as soon as it is there', () => {
    const reader = new FrameReader()

    const seen = oneByteAtATime(frame('D', 'abc')).map((byte) => [...reader.push(byte)].length)

    expect(seen).toEqual([0, 0, 0, 0, 0, 1, 1, 1])
  })

  test('is data in views of the chunk, and blocks in buffers of their own', () => {
    const chunk = Buffer.concat([frame('D', 'before'), frame('E', 'before')])

    const [data, end] = [...new FrameReader().push(chunk)]
    chunk.write('AFTER!', FRAME_HEADER_BYTES)
    chunk.write('AFTER!', chunk.length - 6)

    expect(data).toEqual({ type: 'data', bytes: Buffer.from('AFTER!') })
    expect(end).toEqual({ type: 'end', block: Buffer.from('before') })
  })

  test('is the end frame once, and it knows that it came', () => {
    const reader = new FrameReader()

    expect([...reader.push(frame('E', 'x').subarray(0, 5))]).toEqual([])
    expect(reader.ended).toBe(false)
    expect([...reader.push(Buffer.from('x'))]).toHaveLength(1)
    expect(reader.ended).toBe(true)
    expect(() => reader.end()).not.toThrow()
  })

  test('is what stood before a frame that cannot be, too', () => {
    expect(framedOutcome([Buffer.concat([frame('D', 'good'), frame('X', '')])])).toMatchObject({
      seen: [['data', 'good']],
      refusal: { code: 'FRAME_CORRUPT', facts: { offset: 9 } },
    })
  })
})

describe('the sizes of frames:', () => {
  test('a data frame of the limit is read, and one byte more is refused by its header', () => {
    const wire = Buffer.concat([...dataFrames(Buffer.alloc(MAX_FRAME_BYTES, 'y')), frame('E', 'x')])

    const { seen, refusal } = framedOutcome(cutAt(wire, [7, 70_000]))

    expect(refusal).toBeUndefined()
    expect(seen[0]?.[1]).toHaveLength(MAX_FRAME_BYTES)
    expect(framedOutcome([headerOf('D', MAX_FRAME_BYTES + 1)]).refusal?.code).toBe('FRAME_CORRUPT')
  })

  test.each(['P', 'E'])('a frame %s of the limit is read, and one byte more is refused by its header', (letter) => {
    const payload = Buffer.alloc(MAX_BLOCK_FRAME_BYTES, 'b')
    const end = letter === 'E' ? [] : [frame('E', 'x')]

    expect(framedOutcome(cutAt(Buffer.concat([frame(letter, payload), ...end]), [9, 65_000])).seen[0]?.[1]).toBe(
      payload.toString('latin1'),
    )
    expect(framedOutcome([headerOf(letter, MAX_BLOCK_FRAME_BYTES + 1)]).refusal?.code).toBe('FRAME_CORRUPT')
  })

  test('a block that the protocol allows always fits, and no other does', () => {
    expect(MAX_BLOCK_FRAME_BYTES).toBe(LIMITS.maxBlockBytes)
  })

  test('lengths that lie take no memory', () => {
    const before = process.memoryUsage().arrayBuffers
    const readers: FrameReader[] = []

    for (let index = 0; index < 1000; index += 1) {
      const reader = new FrameReader()
      expect([...reader.push(headerOf('D', MAX_FRAME_BYTES))]).toEqual([])
      readers.push(reader)
    }

    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024)
    expect(readers).toHaveLength(1000)
  })
})

const CORRUPT = 'FRAME_CORRUPT'
const TRUNCATED = 'FRAME_TRUNCATED'

describe('a framed stream is refused, with the same words however it is cut, for', () => {
  const good = frame('D', 'abc') // 8 bytes
  const end = frame('E', '0\n\n') // 8 bytes

  test.each<[string, Buffer, string, string, object]>([
    ['no byte at all', Buffer.alloc(0), TRUNCATED, 'between two frames after 0 bytes', { bytes: 0 }],
    ['an end between two frames', good, TRUNCATED, 'between two frames after 8 bytes', { bytes: 8 }],
    ['an end in a header', Buffer.from('D\0\0'), TRUNCATED, 'inside a frame after 3 bytes', { bytes: 3 }],
    ['an end behind a header', headerOf('D', 3), TRUNCATED, 'inside a frame after 5 bytes', { bytes: 5 }],
    ['an end in data', good.subarray(0, 7), TRUNCATED, 'inside a frame after 7 bytes', { bytes: 7 }],
    ['an end behind the header of a block', headerOf('E', 3), TRUNCATED, 'inside a frame after 5 bytes', { bytes: 5 }],
    ['an end in a block', end.subarray(0, 7), TRUNCATED, 'inside a frame after 7 bytes', { bytes: 7 }],
    ['an unknown type', Buffer.concat([good, frame('X', 'abc')]), CORRUPT, 'found the byte 0x58', { offset: 8 }],
    ['an unknown type, by its first byte', Buffer.from('X'), CORRUPT, 'found the byte 0x58', { offset: 0 }],
    ['a type in small letters', frame('d', 'abc'), CORRUPT, 'found the byte 0x64', { offset: 0 }],
    ['a type of 0', Buffer.alloc(40), CORRUPT, 'found the byte 0x00', { offset: 0 }],
    ['a text', Buffer.from('msg=no backup\n'), CORRUPT, 'found the byte 0x6d', { offset: 0 }],
    ['a data frame of no bytes', Buffer.concat([good, headerOf('D', 0)]), CORRUPT, 'type D, found 0', { offset: 8 }],
    ['a progress frame of no bytes', headerOf('P', 0), CORRUPT, '1 to 65536 bytes', { offset: 0 }],
    ['an end frame of no bytes', headerOf('E', 0), CORRUPT, 'type E, found 0', { offset: 0 }],
    ['too long a data frame', headerOf('D', 1_048_577), CORRUPT, '1 to 1048576 bytes', { offset: 0 }],
    ['too long a progress frame', headerOf('P', 65_537), CORRUPT, 'type P, found 65537', { offset: 0 }],
    ['too long an end frame', headerOf('E', 65_537), CORRUPT, 'type E, found 65537', { offset: 0 }],
    ['the longest length there is', headerOf('D', 0xffff_ffff), CORRUPT, 'found 4294967295', { offset: 0 }],
    ['a byte behind the end', Buffer.concat([end, Buffer.of(0)]), CORRUPT, 'found the byte 0x00', { offset: 8 }],
    ['a frame behind the end', Buffer.concat([good, end, good]), CORRUPT, 'found the byte 0x44', { offset: 16 }],
    ['two ends', Buffer.concat([end, end]), CORRUPT, 'nothing behind the end frame', { offset: 8 }],
  ])('%s', (_, wire, code, words, facts) => {
    const whole = framedOutcome([wire])

    expect(whole.refusal).toMatchObject({ code, message: expect.stringContaining(words), facts })
    for (const { cut, chunks } of everyCut(wire)) expect([cut, framedOutcome(chunks)]).toEqual([cut, whole])
  })

  test('every one of the 253 types that are none', () => {
    const taken: number[] = []
    for (let byte = 0; byte < 256; byte += 1) {
      if (framedOutcome([Buffer.of(byte)]).refusal?.code !== CORRUPT) taken.push(byte)
    }

    expect(Buffer.from(taken).toString('latin1')).toBe('DEP')
  })

  test('an end anywhere but behind the end frame', () => {
    const accepted: number[] = []
    for (let bytes = 0; bytes <= STREAM.length; bytes += 1) {
      const { refusal }: FramedOutcome = framedOutcome([STREAM.subarray(0, bytes)])
      if (refusal === undefined) accepted.push(bytes)
      else expect([bytes, refusal]).toMatchObject([bytes, { code: TRUNCATED, facts: { bytes } }])
    }

    expect(accepted).toEqual([STREAM.length])
  })
})

describe('it is a bug', () => {
  test.each<[string, (reader: FrameReader) => void]>([
    ['to go on after a refusal', (reader) => reader.push(Buffer.from('D'))],
    ['to end after a refusal', (reader) => reader.end()],
  ])('%s', (_, goOn) => {
    const reader = new FrameReader()
    expect(() => [...reader.push(Buffer.from('X'))]).toThrow(/expected a frame/)

    expect(() => goOn(reader)).toThrow(/^bug: /)
  })

  test.each<[string, (reader: FrameReader) => unknown]>([
    ['looked at', (reader) => reader.push(STREAM)],
    ['looked at to the end', (reader) => reader.push(STREAM).next()],
  ])('not to have %s what a chunk held: the bytes would be lost', (_, forget) => {
    const reader = new FrameReader()
    forget(reader)

    expect(() => reader.push(STREAM)).toThrow(/^bug: /)
    expect(() => reader.end()).toThrow(/^bug: /)
  })
})

test('the framed encoding is none of those that every client may ask for', () => {
  expect(FRAMED_MIME).toBe('application/x-framed-stream')
  expect(Object.values(ENCODINGS)).not.toContain(FRAMED_MIME)
})
