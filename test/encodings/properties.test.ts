import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { blockFrame, createDecoder, createEncoder, dataFrames, type EncodingName } from '../../lib/encodings/index.ts'
import { framedOutcome } from './framed-streams.ts'
import { cutAt, decodeAll, encodeAll, oneByteAtATime, outcomeOf } from './streams.ts'

const buffers = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength, size: 'max' }).map((bytes) => Buffer.from(bytes))

/** Places to cut at, as fractions, because the wire's length is not known yet. */
const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 })
const applyCuts = (bytes: Buffer, fractions: readonly number[]): Buffer[] =>
  cutAt(
    bytes,
    fractions.map((fraction) => Math.floor(fraction * bytes.length)).sort((a, b) => a - b),
  )

/** A small damage to a good stream: the kind that nearly passes. */
type Damage = { at: number; remove: number; insert: Uint8Array }
const damages: fc.Arbitrary<Damage[]> = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    remove: fc.nat(2),
    insert: fc
      .uint8Array({ maxLength: 2 })
      .map((bytes) => bytes.map((byte, index) => (index === 0 ? byte : byte % 128))),
  }),
  { maxLength: 2 },
)
const applyDamages = (wire: Buffer, list: readonly Damage[]): Buffer => {
  let damaged = wire
  for (const { at, remove, insert } of list) {
    const offset = Math.floor(at * damaged.length)
    damaged = Buffer.concat([damaged.subarray(0, offset), insert, damaged.subarray(offset + remove)])
  }
  return damaged
}

const blockSizes = fc.oneof(fc.integer({ min: 57, max: 400 }), fc.constantFrom(2115, 2116, 10_240))

describe.each<[EncodingName]>([['uuencode'], ['base64'], ['octet']])('%s', (name) => {
  test('gives back what went in, whatever it is and wherever both sides are cut', () => {
    fc.assert(
      fc.property(buffers(3000), blockSizes, cuts, cuts, (raw, blockBytes, rawCuts, wireCuts) => {
        const wire = encodeAll(createEncoder(name, { blockBytes }), applyCuts(raw, rawCuts))
        const back = decodeAll(createDecoder(name, { blockBytes }), applyCuts(wire, wireCuts))

        expect(back.equals(raw)).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  test('gives the wire bytes of the whole, with the last `rawEnd` at its end, wherever the raw side is cut', () => {
    fc.assert(
      fc.property(buffers(3000), blockSizes, cuts, (raw, blockBytes, rawCuts) => {
        const encoder = createEncoder(name, { blockBytes })
        const pieces = [...applyCuts(raw, rawCuts).flatMap((chunk) => encoder.encode(chunk)), ...encoder.end()]
        const ends = pieces.map(({ rawEnd }) => rawEnd)

        expect(Buffer.concat(pieces.map(({ wire }) => wire))).toEqual(
          encodeAll(createEncoder(name, { blockBytes }), [raw]),
        )
        expect(ends).toEqual([...ends].sort((a, b) => a - b))
        expect(ends.at(-1) ?? 0).toBe(raw.length)
      }),
      { numRuns: 300 },
    )
  })

  test('says of any bytes the same at every cut: their contents, or one refusal', () => {
    fc.assert(
      fc.property(buffers(300), cuts, (wire, wireCuts) => {
        const whole = outcomeOf(createDecoder(name), [wire]) // anything but a BackupError is thrown on

        expect(outcomeOf(createDecoder(name), applyCuts(wire, wireCuts))).toEqual(whole)
        expect(outcomeOf(createDecoder(name), oneByteAtATime(wire))).toEqual(whole)
      }),
      { numRuns: 1000 },
    )
  })

  test('says of a damaged stream the same at every cut', () => {
    fc.assert(
      fc.property(buffers(400), blockSizes, damages, cuts, (raw, blockBytes, list, wireCuts) => {
        const wire = applyDamages(encodeAll(createEncoder(name, { blockBytes }), [raw]), list)
        const whole = outcomeOf(createDecoder(name), [wire])

        expect(outcomeOf(createDecoder(name), applyCuts(wire, wireCuts))).toEqual(whole)
        expect(outcomeOf(createDecoder(name), oneByteAtATime(wire))).toEqual(whole)
      }),
      { numRuns: 1000 },
    )
  })
})

/** What the frames of a stream would be if Perl had packed what they carry. */
const encodedAgain = (wire: Buffer): Buffer => {
  const frames: Buffer[] = []
  for (let at = 0; at < wire.length; ) {
    const end = at + 4 + wire.readUInt32BE(at)
    const raw = decodeAll(createDecoder('uuencode'), [wire.subarray(at, end)])
    frames.push(encodeAll(createEncoder('uuencode', { blockBytes: 1_048_576 }), [raw]))
    at = end
  }
  return Buffer.concat(frames)
}

describe('strictness', () => {
  test('base64 accepts a damaged stream only if it is exactly what its contents encode to', () => {
    fc.assert(
      fc.property(buffers(200), damages, (raw, list) => {
        const wire = applyDamages(encodeAll(createEncoder('base64'), [raw]), list)
        const outcome = outcomeOf(createDecoder('base64'), [wire])
        if (!('raw' in outcome)) return

        const contents = Buffer.from(outcome.raw as string, 'hex')
        expect(encodeAll(createEncoder('base64'), [contents])).toEqual(wire)
      }),
      { numRuns: 5000 },
    )
  })

  test('uuencode accepts a damaged stream only if it is what its contents encode to, spaces for zeros aside', () => {
    fc.assert(
      fc.property(buffers(200), fc.integer({ min: 57, max: 120 }), damages, (raw, blockBytes, list) => {
        const wire = applyDamages(encodeAll(createEncoder('uuencode', { blockBytes }), [raw]), list)
        if (!('raw' in outcomeOf(createDecoder('uuencode'), [wire]))) return

        const graves = Buffer.from(wire.map((byte) => (byte === 0x20 ? 0x60 : byte)))
        const again = encodedAgain(wire)
        expect(Buffer.from(again.map((byte) => (byte === 0x20 ? 0x60 : byte)))).toEqual(graves)
      }),
      { numRuns: 5000 },
    )
  })
})

describe('frames', () => {
  /** Data in pieces of any size, and blocks between them. */
  const frameLists = fc.array(
    fc.oneof(
      buffers(200).map((bytes) => ['data', bytes] as const),
      buffers(60)
        .filter(({ length }) => length > 0)
        .map((block) => ['progress', block] as const),
    ),
    { maxLength: 12 },
  )
  const written = (list: readonly (readonly ['data' | 'progress', Buffer])[], end: Buffer): Buffer =>
    Buffer.concat([
      ...list.flatMap(([type, bytes]) => (type === 'data' ? dataFrames(bytes) : [blockFrame(type, bytes)])),
      blockFrame('end', end),
    ])
  const blocks = buffers(40).filter(({ length }) => length > 0)

  test('give back what went in, whatever it is and wherever they are cut', () => {
    fc.assert(
      fc.property(frameLists, blocks, cuts, (list, end, wireCuts) => {
        const wire = written(list, end)
        const { seen, refusal } = framedOutcome(applyCuts(wire, wireCuts))

        expect(refusal).toBeUndefined()
        expect(textOf(seen, 'data')).toBe(textOf(list, 'data'))
        expect(seen.filter(([type]) => type !== 'data')).toEqual([
          ...list.filter(([type]) => type === 'progress').map(([type, bytes]) => [type, bytes.toString('latin1')]),
          ['end', end.toString('latin1')],
        ])
      }),
      { numRuns: 500 },
    )
  })

  test('say of any bytes, and of a damaged stream, the same at every cut', () => {
    const damaged = fc
      .tuple(frameLists, blocks, damages)
      .map(([list, end, wrong]) => applyDamages(written(list, end), wrong))
    fc.assert(
      fc.property(fc.oneof(buffers(60), damaged), cuts, (wire, wireCuts) => {
        const whole = framedOutcome([wire])

        expect(framedOutcome(applyCuts(wire, wireCuts))).toEqual(whole)
        expect(framedOutcome(oneByteAtATime(wire))).toEqual(whole)
      }),
      { numRuns: 1000 },
    )
  })

  test('are never taken for whole when they were cut', () => {
    fc.assert(
      fc.property(frameLists, blocks, fc.nat(), (list, end, at) => {
        const wire = written(list, end)

        expect(framedOutcome([wire.subarray(0, at % wire.length)]).refusal?.code).toBe('FRAME_TRUNCATED')
      }),
      { numRuns: 500 },
    )
  })
})

/** All data of frames, wherever blocks stood between. */
const textOf = (frames: readonly (readonly [string, string | Buffer])[], type: string): string =>
  frames.map(([kind, bytes]) => (kind === type ? bytes.toString('latin1') : '')).join('')
