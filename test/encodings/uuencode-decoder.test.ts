import { describe, expect, test } from '@jest/globals'
import { randomBytes } from 'node:crypto'

import { createDecoder, createEncoder, MAX_BLOCK_BYTES, uuencodedBytes } from '../../lib/encodings/index.ts'
import { fixture, isInstalled, RAW, run } from './foreign-programs.ts'
import { cutAt, decodeAll, encodeAll, everyCut, oneByteAtATime, outcomeOf } from './streams.ts'

const SIZES = [1, 2, 3, 44, 45, 46, 55, 56, 57, 58, 256, 10_240, 20_481]

/** A frame around a body, with its true length or another. */
const frame = (body: string, bodyBytes = body.length): Buffer => {
  const wire = Buffer.alloc(4 + body.length)
  wire.writeUInt32BE(bodyBytes)
  wire.write(body, 4, 'latin1')
  return wire
}

const FULL = `M${'0'.repeat(60)}\n`

describe('uuencode off the wire', () => {
  test.each(SIZES)('reads what Perl recorded of %d bytes', (rawBytes) => {
    const recorded = fixture(`uuencode-${rawBytes}.bin`)

    expect(decodeAll(createDecoder('uuencode'), [recorded])).toEqual(RAW.subarray(0, rawBytes))
    expect(decodeAll(createDecoder('uuencode'), oneByteAtATime(recorded))).toEqual(RAW.subarray(0, rawBytes))
  })

  test('reads nothing from nothing', () => {
    expect(decodeAll(createDecoder('uuencode'), [Buffer.alloc(0)])).toEqual(Buffer.alloc(0))
  })

  test('reads the same bytes wherever frames are cut', () => {
    const raw = RAW.subarray(0, 300)
    const wire = encodeAll(createEncoder('uuencode', { blockBytes: 100 }), [raw])

    for (const { chunks } of everyCut(wire)) expect(decodeAll(createDecoder('uuencode'), chunks)).toEqual(raw)
  })

  test.each([57, 90, 2116, 10_240, MAX_BLOCK_BYTES])('reads blocks of %d', (blockBytes) => {
    const raw = randomBytes(2 * blockBytes + 12_345)
    const wire = encodeAll(createEncoder('uuencode', { blockBytes }), [raw])

    expect(decodeAll(createDecoder('uuencode', { blockBytes }), [wire]).equals(raw)).toBe(true)
    expect(decodeAll(createDecoder('uuencode', { blockBytes }), cutAt(wire, [1000, 70_001])).equals(raw)).toBe(true)
  })

  test('reads frames that are not full, as an agent sends them that reads from a pipe', () => {
    const wire = Buffer.concat([frame('#86)C\n'), frame('"9&4`\n'), frame('!9@``\n')])

    expect(decodeAll(createDecoder('uuencode'), [wire]).toString()).toBe('abcdef')
  })

  test('hands on the lines of a frame before the frame is whole', () => {
    const wire = fixture('uuencode-256.bin')
    const decoder = createDecoder('uuencode')

    const raw = decoder.decode(wire.subarray(0, 4 + 62 + 62 + 10))

    expect(Buffer.concat(raw)).toEqual(RAW.subarray(0, 90))
  })

  test('takes a space for a zero, as old encoders and Python write it', () => {
    const body = fixture('python-spaces-256.txt').toString('latin1')
    expect(body).toContain(' ')

    for (const { chunks } of everyCut(frame(body))) {
      expect(decodeAll(createDecoder('uuencode'), chunks)).toEqual(RAW.subarray(0, 256))
    }
  })

  test('takes the lines of GNU uuencode, which writes grave accents as we do', () => {
    const lines = fixture('sharutils-256.uue').toString('latin1').split('\n')
    const body = `${lines.slice(1, -3).join('\n')}\n` // without begin, the empty line and end

    expect(frame(body)).toEqual(fixture('uuencode-256.bin'))
    expect(decodeAll(createDecoder('uuencode'), [frame(body)])).toEqual(RAW.subarray(0, 256))
  })
})

describe('our uuencode elsewhere', () => {
  /** The text of our frames, which is one text if all but the last frame end with a full line. */
  const textOf = (raw: Buffer): Buffer =>
    encodeAll(createEncoder('uuencode', { blockBytes: MAX_BLOCK_BYTES }), [raw]).subarray(4)
  const sizes = [1, 2, 3, 44, 45, 46, 1000, 1_000_001]

  test('is read by Perl', () => {
    for (const rawBytes of sizes) {
      const raw = randomBytes(rawBytes)

      expect(run('perl', ['-0777', '-e', 'binmode STDOUT; print unpack("u", <STDIN>)'], textOf(raw)).equals(raw)).toBe(
        true,
      )
    }
  })

  test('is read by Python', () => {
    const python = 'import binascii, sys; [sys.stdout.buffer.write(binascii.a2b_uu(line)) for line in sys.stdin.buffer]'
    for (const rawBytes of sizes) {
      const raw = randomBytes(rawBytes)

      expect(run('python3', ['-c', python], textOf(raw)).equals(raw)).toBe(true)
    }
  })

  const testWithSharutils = isInstalled('uudecode') ? test : test.skip
  testWithSharutils('is read by GNU uudecode, between a begin and an end line (needs sharutils)', () => {
    for (const rawBytes of sizes) {
      const raw = randomBytes(rawBytes)
      const wrapped = Buffer.concat([Buffer.from('begin 644 raw\n'), textOf(raw), Buffer.from('`\nend\n')])

      expect(run('uudecode', ['-o', '/dev/stdout'], wrapped).equals(raw)).toBe(true)
    }
  })
})

describe('uuencode refuses', () => {
  const frameOf58 = fixture('uuencode-58.bin') // 45 + 13 raw bytes
  const damaged = (offset: number, text: string): Buffer => {
    const wire = Buffer.from(frameOf58)
    wire.write(text, offset, 'latin1')
    return wire
  }

  test.each<[string, Buffer, string, string, object]>([
    [
      'a frame of length 0, which deployed clients take for the end',
      Buffer.concat([frame('#86)C\n'), frame('')]),
      'the length of a frame, which is never 0',
      '0 ("\\x00\\x00\\x00\\x00")',
      { offset: 10, frame: 2 },
    ],
    [
      'a frame longer than the biggest block gives',
      frame('', uuencodedBytes(MAX_BLOCK_BYTES) + 2),
      'a frame of at most 1444708 bytes',
      '1444710 ("\\x00\\x16\\x0bf")',
      { offset: 0, frame: 1 },
    ],
    [
      'other words in place of a length',
      Buffer.from('status=FAILED\n'),
      'a frame of at most 1444708 bytes',
      '1937006964 ("stat")',
      { offset: 0, frame: 1 },
    ],
    [
      'a length that no lines can have',
      frame('', 64),
      'a frame length that whole lines can have',
      '64 ("\\x00\\x00\\x00@")',
      { offset: 0, frame: 1 },
    ],
    [
      'a line that is shorter than its frame says',
      frame(`#86)C\n${FULL}`),
      '"M", the count of a full line',
      '"#"',
      { offset: 4, frame: 1, line: 1 },
    ],
    [
      'a last line that counts more than it has',
      frame('$86)C\n'),
      '"!" to "#", the count of a line of 6 bytes',
      '"$"',
      { offset: 4, frame: 1, line: 1 },
    ],
    [
      'a last line that counts less than it has',
      frame(`${FULL}#86)C86)C\n`),
      '"$" to "&", the count of a line of 10 bytes',
      '"#"',
      { offset: 66, frame: 1, line: 2 },
    ],
    [
      'a count of more than 45',
      frame(`N${'0'.repeat(60)}\n`),
      '"K" to "M", the count of a line of 62 bytes',
      '"N"',
      { offset: 4, frame: 1, line: 1 },
    ],
    [
      'an empty line',
      frame('`00``\n'),
      '"!" to "#", the count of a line of 6 bytes',
      '"`"',
      { offset: 4, frame: 1, line: 1 },
    ],
    [
      'a count that is no character of the alphabet',
      damaged(4, '\n'),
      '"M", the count of a full line',
      '"\\n"',
      { offset: 4, frame: 1, line: 1 },
    ],
    [
      'a small letter',
      damaged(5, 'a'),
      'a character from space to grave accent',
      '"a"',
      { offset: 5, frame: 1, line: 1 },
    ],
    [
      'a control byte',
      damaged(64, '\u001f'),
      'a character from space to grave accent',
      '"\\x1f"',
      { offset: 64, frame: 1, line: 1 },
    ],
    [
      'a byte above ASCII, in a last line',
      damaged(67, '\u00a0'),
      'a character from space to grave accent',
      '"\\xa0"',
      { offset: 67, frame: 1, line: 2 },
    ],
    [
      'a line feed too early',
      damaged(30, '\n'),
      'a character from space to grave accent',
      '"\\n"',
      { offset: 30, frame: 1, line: 1 },
    ],
    ['a line feed too late', damaged(65, '0'), 'a line feed', '"0"', { offset: 65, frame: 1, line: 1 }],
    ['a carriage return', damaged(65, '\r'), 'a line feed', '"\\x0d"', { offset: 65, frame: 1, line: 1 }],
    [
      'filling that is not zero, one byte of it',
      frame('"86)C\n'),
      'a last group filled up with zeros after byte 2',
      '"86)C"',
      { offset: 5, frame: 1, line: 1 },
    ],
    [
      'filling that is not zero, in the bits beside a byte',
      frame('!81``\n'),
      'a last group filled up with zeros after byte 1',
      '"81``"',
      { offset: 5, frame: 1, line: 1 },
    ],
    [
      'filling that is not zero, in its last bit',
      frame('!80`!\n'),
      'a last group filled up with zeros after byte 1',
      '"80`!"',
      { offset: 5, frame: 1, line: 1 },
    ],
  ])('%s, with the same words however it is cut', (_, wire, expected, found, place) => {
    const refusal = {
      code: 'ENCODING_CORRUPT',
      message: `uuencode stream: expected ${expected} at byte ${(place as { offset: number }).offset}, found ${found}`,
      facts: { encoding: 'uuencode', expected, found, ...place },
    }

    for (const { chunks } of everyCut(wire)) expect(outcomeOf(createDecoder('uuencode'), chunks)).toEqual(refusal)
  })

  test.each([57, 10_240])('a frame longer than a block of %d gives, when the block size is known', (blockBytes) => {
    const most = uuencodedBytes(blockBytes)
    const decoder = () => createDecoder('uuencode', { blockBytes })

    expect(() => decoder().decode(frame('', most))).not.toThrow()
    expect(() => decoder().decode(frame('', most + 4))).toThrow(
      expect.objectContaining({ code: 'ENCODING_CORRUPT', message: expect.stringContaining(`at most ${most} bytes`) }),
    )
  })

  test('a length over the limit before a byte of the frame has come', () => {
    const decoder = createDecoder('uuencode')
    decoder.decode(Buffer.of(0xff, 0xff, 0xff))

    expect(() => decoder.decode(Buffer.of(0xff))).toThrow(expect.objectContaining({ code: 'ENCODING_CORRUPT' }))
  })

  test('a stream that stops anywhere but between two frames', () => {
    const wire = Buffer.concat([frame('#86)C\n'), frameOf58])
    const accepted: number[] = []

    for (let bytes = 0; bytes <= wire.length; bytes += 1) {
      const decoder = createDecoder('uuencode')
      decoder.decode(wire.subarray(0, bytes))
      try {
        decoder.end()
        accepted.push(bytes)
      } catch (error) {
        expect(error).toMatchObject({ code: 'ENCODING_TRUNCATED', facts: { offset: bytes } })
      }
    }

    expect(accepted).toEqual([0, 10, wire.length])
  })

  test.each([
    [2, 'uuencode stream stops at byte 2: expected the 4 bytes of a frame length, found 2', { offset: 2, frame: 1 }],
    [50, 'uuencode stream stops at byte 50: expected a frame of 84 bytes, found 46', { offset: 50, frame: 1 }],
    [66, 'uuencode stream stops at byte 66: expected a frame of 84 bytes, found 62', { offset: 66, frame: 1 }],
  ])('a stream cut after %d bytes, saying how far the frame got', (bytes, message, place) => {
    const outcome = outcomeOf(createDecoder('uuencode'), [frameOf58.subarray(0, bytes)])

    expect(outcome).toMatchObject({ code: 'ENCODING_TRUNCATED', message, facts: place })
  })

  test('to go on after its end or an error', () => {
    const ended = createDecoder('uuencode')
    ended.end()
    const broken = createDecoder('uuencode')
    expect(() => broken.decode(frame(''))).toThrow('expected')

    for (const decoder of [ended, broken]) {
      expect(() => decoder.decode(frameOf58)).toThrow('bug')
      expect(() => decoder.end()).toThrow('bug')
    }
  })
})
