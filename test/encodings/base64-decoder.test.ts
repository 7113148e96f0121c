import { describe, expect, test } from '@jest/globals'
import { randomBytes } from 'node:crypto'

import { createDecoder, createEncoder } from '../../lib/encodings/index.ts'
import { fixture, RAW, run } from './foreign-programs.ts'
import { cutAt, decodeAll, encodeAll, everyCut, oneByteAtATime, outcomeOf } from './streams.ts'

const SIZES = [1, 2, 3, 44, 45, 46, 55, 56, 57, 58, 256, 10_240, 20_481]
const FULL = 'A'.repeat(76)

describe('base64 off the wire', () => {
  test.each(SIZES)('reads what Perl recorded of %d bytes', (rawBytes) => {
    const recorded = fixture(`base64-${rawBytes}.txt`)

    expect(decodeAll(createDecoder('base64'), [recorded])).toEqual(RAW.subarray(0, rawBytes))
    expect(decodeAll(createDecoder('base64'), oneByteAtATime(recorded))).toEqual(RAW.subarray(0, rawBytes))
  })

  test('reads nothing from nothing', () => {
    expect(decodeAll(createDecoder('base64'), [Buffer.alloc(0)])).toEqual(Buffer.alloc(0))
  })

  test.each([
    ['ends with a full line', 171],
    ['ends with a short line', 180],
    ['ends with a full line and one padding', 170],
    ['ends with a short line and two paddings', 175],
  ])('reads the same bytes wherever a stream is cut that %s', (_, rawBytes) => {
    const raw = RAW.subarray(0, rawBytes)
    const wire = encodeAll(createEncoder('base64'), [raw])

    for (const { chunks } of everyCut(wire)) expect(decodeAll(createDecoder('base64'), chunks)).toEqual(raw)
  })

  test('reads big data in chunks of any size', () => {
    const raw = randomBytes(1_000_003)
    const wire = encodeAll(createEncoder('base64'), [raw])

    expect(decodeAll(createDecoder('base64'), [wire]).equals(raw)).toBe(true)
    expect(decodeAll(createDecoder('base64'), cutAt(wire, [1000, 70_001, 77 * 5000])).equals(raw)).toBe(true)
  })

  test('hands on every line that is whole', () => {
    const wire = fixture('base64-256.txt')
    const decoder = createDecoder('base64')

    expect(Buffer.concat(decoder.decode(wire.subarray(0, 2 * 77 + 76)))).toEqual(RAW.subarray(0, 114))
    expect(Buffer.concat(decoder.decode(Buffer.from('\n')))).toEqual(RAW.subarray(114, 171))
  })
})

describe('our base64 elsewhere', () => {
  test.each([
    ['Perl', 'perl', ['-MMIME::Base64', '-0777', '-e', 'binmode STDOUT; print decode_base64(<STDIN>)']],
    ['coreutils', 'base64', ['-d']],
    [
      'Python',
      'python3',
      ['-c', 'import base64, sys; sys.stdout.buffer.write(base64.decodebytes(sys.stdin.buffer.read()))'],
    ],
  ])('is read by %s', (_, program, args) => {
    for (const rawBytes of [1, 2, 3, 56, 57, 58, 1_000_001]) {
      const raw = randomBytes(rawBytes)

      expect(run(program, args, encodeAll(createEncoder('base64'), [raw])).equals(raw)).toBe(true)
    }
  })
})

describe('base64 refuses', () => {
  const line = (from: string, to: string): string => `${FULL}\n${FULL.replace(from, to)}\n`

  test.each<[string, string, string, string, object]>([
    [
      'a character of the URL alphabet, which Node takes',
      line('AAAA', 'AA-A'),
      'a base64 character',
      '"-"',
      { offset: 79, line: 2 },
    ],
    ['its other one', line('AAAA', 'A_AA'), 'a base64 character', '"_"', { offset: 78, line: 2 }],
    ['a space, which Node skips', line('AAAA', ' AAA'), 'a base64 character', '" "', { offset: 77, line: 2 }],
    ['a byte above ASCII', line('AAAA', 'AAA\u00c1'), 'a base64 character', '"\\xc1"', { offset: 80, line: 2 }],
    [
      'a control byte in a short line',
      `${FULL}\nAA\u0000A\n`,
      'a base64 character',
      '"\\x00"',
      { offset: 79, line: 2 },
    ],
    ['a carriage return after a full line', `${FULL}\r\n`, 'a line feed', '"\\x0d"', { offset: 76, line: 1 }],
    [
      'a carriage return after a short line',
      'QUJD\r\n',
      'a base64 character or a line feed',
      '"\\x0d"',
      { offset: 4, line: 1 },
    ],
    ['a line longer than 76', `${FULL}A\n`, 'a line feed', '"A"', { offset: 76, line: 1 }],
    ['an empty line', `${FULL}\n\n`, 'a base64 character', '"\\n"', { offset: 77, line: 2 }],
    ['an empty line at the start', '\n', 'a base64 character', '"\\n"', { offset: 0, line: 1 }],
    ['a group of one character', 'QUJDR\n', 'a base64 character', '"\\n"', { offset: 5, line: 1 }],
    ['a group of two without padding', 'QUJDRA\n', 'a base64 character', '"\\n"', { offset: 6, line: 1 }],
    ['a group of three without padding', 'QUJDREU\n', 'a base64 character', '"\\n"', { offset: 7, line: 1 }],
    ['half a padding', 'QQ=\n', '"="', '"\\n"', { offset: 3, line: 1 }],
    ['padding after one character', 'Q===\n', 'a base64 character', '"="', { offset: 1, line: 1 }],
    ['padding alone', '====\n', 'a base64 character', '"="', { offset: 0, line: 1 }],
    ['a fourth padding', 'QUI==\n', 'a line feed', '"="', { offset: 4, line: 1 }],
    ['padding in the middle of a line', 'QUI=QUJD\n', 'a line feed', '"Q"', { offset: 4, line: 1 }],
    [
      'bits before two paddings that are not zero',
      'QR==\n',
      'zero bits before the padding',
      '"QR=="',
      { offset: 0, line: 1 },
    ],
    [
      'bits before one padding that are not zero',
      'QUJDQUJ=\n',
      'zero bits before the padding',
      '"QUJ="',
      { offset: 4, line: 1 },
    ],
    [
      'a short line in the middle',
      'QUJD\nQUJD\n',
      'the end of the stream after a line that is not full',
      '"Q"',
      { offset: 5, line: 2 },
    ],
    [
      'a padded line of full length in the middle',
      `${FULL.slice(1)}=\n${FULL}\n`,
      'the end of the stream after a line that is not full',
      '"A"',
      { offset: 77, line: 2 },
    ],
    [
      'an empty line after the last',
      'QUJD\n\n',
      'the end of the stream after a line that is not full',
      '"\\n"',
      { offset: 5, line: 2 },
    ],
  ])('%s, with the same words however it is cut', (_, text, expected, found, place) => {
    const refusal = {
      code: 'ENCODING_CORRUPT',
      message: `base64 stream: expected ${expected} at byte ${(place as { offset: number }).offset}, found ${found}`,
      facts: { encoding: 'base64', expected, found, ...place },
    }

    for (const { chunks } of everyCut(Buffer.from(text, 'latin1'))) {
      expect(outcomeOf(createDecoder('base64'), chunks)).toEqual(refusal)
    }
  })

  test('each of the 191 bytes that are not of the alphabet, at each place of a line', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
    const wire = fixture('base64-57.txt')
    const taken: string[] = []

    for (let at = 0; at < 76; at += 1) {
      for (let byte = 0; byte < 256; byte += 1) {
        if (alphabet.includes(String.fromCharCode(byte))) continue
        if (byte === 0x3d && at === 75) continue // padding may stand there; its own rows are above
        const changed = Buffer.from(wire)
        changed[at] = byte
        if ('raw' in outcomeOf(createDecoder('base64'), [changed])) taken.push(`byte ${byte} at ${at}`)
      }
    }

    expect(taken).toEqual([])
  })

  test('a stream that stops anywhere but between two lines', () => {
    const wire = fixture('base64-256.txt')
    const accepted: number[] = []

    for (let bytes = 0; bytes <= wire.length; bytes += 1) {
      const decoder = createDecoder('base64')
      decoder.decode(wire.subarray(0, bytes))
      try {
        decoder.end()
        accepted.push(bytes)
      } catch (error) {
        expect(error).toMatchObject({ code: 'ENCODING_TRUNCATED', facts: { offset: bytes } })
      }
    }

    expect(accepted).toEqual([0, 77, 154, 231, 308, wire.length])
  })

  test('a last line without its line feed, saying so', () => {
    const outcome = outcomeOf(createDecoder('base64'), [Buffer.from(`${FULL}\nQUJD`)])

    expect(outcome).toMatchObject({
      code: 'ENCODING_TRUNCATED',
      message: 'base64 stream stops at byte 81: expected a line feed, found a line of 4 bytes without one',
      facts: { offset: 81, line: 2 },
    })
  })

  test('to go on after its end or an error', () => {
    const ended = createDecoder('base64')
    ended.end()
    const broken = createDecoder('base64')
    expect(() => broken.decode(Buffer.from('\n'))).toThrow('expected')

    for (const decoder of [ended, broken]) {
      expect(() => decoder.decode(Buffer.from('QUJD\n'))).toThrow('bug')
      expect(() => decoder.end()).toThrow('bug')
    }
  })
})
