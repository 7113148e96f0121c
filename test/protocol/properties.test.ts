import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import {
  AnswerReader,
  KvBlockParser,
  type EndBlock,
  RequestParser,
  readEnd,
  readProgress,
  readReceipt,
  writeEnd,
  writeKvBlock,
  writeProgress,
  writeReceipt,
  writeReady,
  writeRequest,
  writeStatus,
} from '../../lib/protocol/index.ts'
import { byteByByte, cutAt, outcomeOf } from './cuts.ts'
import { keysOfOneHash } from './one-hash.ts'

/** Text that a line may hold: any characters but control characters. */
const text = fc
  .string({ unit: 'binary', maxLength: 40 })
  .map((drawn) => drawn.replace(/[\u0000-\u001f\u007f-\u009f]/g, '').replace(/[\ud800-\udfff]/gu, ''))
const key = text.map((drawn) => drawn.replaceAll('=', '')).filter((drawn) => drawn !== '')
const pairs = fc.uniqueArray(fc.tuple(key, text), { maxLength: 20, selector: ([drawn]) => drawn })
const places = fc.array(fc.nat(4000), { maxLength: 12 })
const version = fc.tuple(fc.constant(0), fc.nat(77), fc.nat()).map((numbers) => numbers.join('.'))

/**
 * Bytes that get further than noise does: pieces of messages, right and wrong, in any order.
 */
const wire = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc
    .array(
      fc.constantFrom(
        '0.76.1\n',
        '0.77.0\n',
        '0.78.0\n',
        'READY\n',
        '0\n',
        '1\n',
        '2\n',
        '3\n',
        '01\n',
        '999\n',
        'a=1\n',
        'b=\n',
        'a',
        '=',
        'é=ü\n',
        '\n',
        '\r\n',
        '\0',
        '\x1b',
        '\t',
        'x'.repeat(70),
        '9'.repeat(20),
        'v'.repeat(9000),
      ),
      { maxLength: 12 },
    )
    .map((pieces) => Buffer.from(pieces.join(''))),
  fc.tuple(pairs, fc.nat(), fc.nat(255)).map(([drawn, at, byte]) => {
    const bytes = writeRequest('0.76.1', drawn)
    bytes[at % bytes.length] = byte // one wrong byte in a good request
    return bytes
  }),
)

const PARSERS: readonly [string, () => KvBlockParser | RequestParser | AnswerReader][] = [
  ['a block', () => new KvBlockParser()],
  ['a request', () => new RequestParser()],
  ['an answer', () => new AnswerReader()],
]

describe('what was written is read back the same, wherever it is cut', () => {
  test('a block', () => {
    fc.assert(
      fc.property(pairs, places, (drawn, cuts) => {
        const outcome = outcomeOf(new KvBlockParser(), cutAt(writeKvBlock(drawn), cuts))

        expect(outcome).toEqual({ result: { block: new Map(drawn), rest: Buffer.alloc(0) } })
      }),
      { numRuns: 500 },
    )
  })

  test('a request, with what stands behind it', () => {
    fc.assert(
      fc.property(version, pairs, fc.uint8Array({ maxLength: 50 }), places, (spoken, drawn, behind, cuts) => {
        const bytes = Buffer.concat([writeRequest(spoken, drawn), behind])

        const outcome = outcomeOf(new RequestParser(), cutAt(bytes, cuts))

        expect(outcome).toMatchObject({
          result: { version: { text: spoken }, block: new Map(drawn), rest: Buffer.from(behind) },
        })
      }),
      { numRuns: 500 },
    )
  })

  test('an answer, with the stream behind it', () => {
    fc.assert(
      fc.property(text, text, fc.uint8Array({ maxLength: 50 }), places, (msg, sid, stream, cuts) => {
        const bytes = Buffer.concat([writeReady(), writeStatus({ status: 'SENDING', msg, sid }), stream])

        const outcome = outcomeOf(new AnswerReader(), cutAt(bytes, cuts))

        const block = new Map([
          ['status', 'SENDING'],
          ['msg', msg],
          ['sid', sid],
        ])
        expect(outcome).toEqual({ result: { ready: true, block, rest: Buffer.from(stream) } })
      }),
      { numRuns: 500 },
    )
  })

  test('a refusal, whatever its text is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 5000 }), (msg) => {
        const outcome = outcomeOf(new AnswerReader(), [writeStatus({ status: 'FAILED', msg })])

        expect(outcome).toMatchObject({ result: { ready: false } })
      }),
      { numRuns: 300 },
    )
  })
})

describe('a block of any pairs, wherever it is cut,', () => {
  const plain = fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)) })
  const alike = fc.string({ unit: fc.constantFrom('a', 'b', ':'), minLength: 1, maxLength: 9 })
  const sameHash = fc.constantFrom(...keysOfOneHash(30))
  const anyPairs = fc.array(
    fc.tuple(fc.oneof({ arbitrary: alike, weight: 4 }, sameHash, key), fc.oneof({ arbitrary: plain, weight: 4 }, text)),
    { maxLength: 50, size: 'max' },
  )
  const wireOf = (drawn: readonly (readonly string[])[]): Buffer =>
    Buffer.from(`${drawn.length}\n${drawn.map(([own, value]) => `${own}=${value}\n`).join('')}\n`)

  test('is what a Map makes of the pairs, in their order', () => {
    fc.assert(
      fc.property(anyPairs, places, (drawn, cuts) => {
        const oracle = new Map(drawn)

        const outcome = outcomeOf(new KvBlockParser(), cutAt(wireOf([...oracle]), cuts))

        expect(outcome).toHaveProperty('result')
        if (typeof outcome === 'object' && 'result' in outcome) expect([...outcome.result.block]).toEqual([...oracle])
      }),
      { numRuns: 500 },
    )
  })

  test('is refused for the first key that a Map would have already, and names the line of the other', () => {
    fc.assert(
      fc.property(anyPairs, places, (drawn, cuts) => {
        const keys = drawn.map(([own]) => own)
        const again = keys.findIndex((own, at) => keys.indexOf(own) < at)
        fc.pre(again !== -1)

        const outcome = outcomeOf(new KvBlockParser(), cutAt(wireOf(drawn), cuts))

        expect(outcome).toMatchObject({ code: 'PROTOCOL_KEY_DUPLICATE', line: again + 2 })
        expect(outcome).toMatchObject({
          message: expect.stringContaining(`stands on line ${keys.indexOf(keys[again] as string) + 2} already`),
        })
      }),
      { numRuns: 500 },
    )
  })
})

describe('the blocks of a framed stream, whatever stands in them,', () => {
  const count = fc.nat({ max: 999_999_999_999_999 })
  const digest = fc.stringMatching(/^[0-9a-f]{64}$/)
  const lsn = fc.stringMatching(/^[0-9]{1,20}$/)
  const wild = fc.string({ unit: 'binary', maxLength: 6000 })
  const known = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
    fc.option(value, { nil: undefined })
  const without = (values: object): object =>
    Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))

  test('progress comes back the same', () => {
    const progress = fc.record({
      bytes: count,
      sent: count,
      files: count,
      stage: text,
      percent: known(fc.nat(100)),
      eta: known(count),
    })
    fc.assert(
      fc.property(progress, (drawn) => {
        expect(readProgress(writeProgress(without(drawn) as Parameters<typeof writeProgress>[0]))).toEqual(
          without(drawn),
        )
      }),
      { numRuns: 300 },
    )
  })

  test('the end of a complete backup comes back the same', () => {
    const complete = fc.record({
      status: fc.constant('COMPLETE' as const),
      msg: text,
      sid: text,
      bytes: count,
      sha256: digest,
      entries: count,
      coordinates: fc.record({ binlogFile: text, binlogPosition: count, gtid: text }, { requiredKeys: [] }),
      lsn: fc.record({ from: lsn, to: lsn, checkpoint: lsn }, { requiredKeys: [] }),
      paddedFiles: count,
      paddedBytes: count,
      engine: text,
      engineVersion: text,
      engineExit: fc.constant(0),
    })
    fc.assert(
      fc.property(complete, (drawn) => {
        expect(readEnd(writeEnd(drawn))).toEqual(drawn)
      }),
      { numRuns: 300 },
    )
  })

  test('an end can always be written and read, whatever the words of a program are', () => {
    const words = fc.record({
      msg: wild,
      sid: text,
      code: wild,
      engine: wild,
      version: wild,
      file: wild,
      gtid: wild,
      lsn: wild,
    })
    fc.assert(
      fc.property(
        words,
        fc.double(),
        digest,
        ({ msg, sid, code, engine, version, file, gtid, lsn: odd }, number, sha256) => {
          const ends: EndBlock[] = [
            {
              status: 'COMPLETE',
              ...{
                msg,
                sid,
                engine,
                sha256,
                engineVersion: version,
                bytes: 1,
                entries: 1,
                paddedFiles: 0,
                paddedBytes: 0,
              },
              coordinates: { binlogFile: file, binlogPosition: number, gtid },
              lsn: { from: odd, to: odd, checkpoint: odd },
              engineExit: 0,
            },
            { status: 'FAILED', msg, sid, code, bytes: 0, engineSignal: engine },
          ]
          for (const end of ends) expect(readEnd(writeEnd(end))).toMatchObject({ status: end.status, sid })
        },
      ),
      { numRuns: 500 },
    )
  })

  test('a receipt comes back the same', () => {
    fc.assert(
      fc.property(text, count, digest, text, (sid, bytes, sha256, msg) => {
        const received = { status: 'RECEIVED' as const, sid, bytes, sha256 }

        expect(readReceipt(writeReceipt(received))).toEqual(received)
        expect(readReceipt(writeReceipt({ status: 'FAILED', msg }))).toEqual({ status: 'FAILED', msg })
      }),
      { numRuns: 300 },
    )
  })
})

describe.each(PARSERS)('arbitrary bytes read as %s', (_, makeParser) => {
  test('give a result, a refusal or nothing, and the same one wherever they are cut', () => {
    fc.assert(
      fc.property(wire, places, (bytes, cuts) => {
        const whole = outcomeOf(makeParser(), [bytes]) // throws what is no BackupError

        expect(outcomeOf(makeParser(), cutAt(bytes, cuts))).toEqual(whole)
        expect(outcomeOf(makeParser(), byteByByte(bytes))).toEqual(whole)
      }),
      { numRuns: 700 },
    )
  })

  test('refused as the end of a peer that left are never refused as something else when they go on', () => {
    fc.assert(
      fc.property(wire, fc.nat(), (bytes, at) => {
        const parser = makeParser()
        const head = outcomeOf(parser, [bytes.subarray(0, at % (bytes.length + 1))])
        const whole = outcomeOf(makeParser(), [bytes])

        // A refusal that a beginning earns is earned by everything that begins so.
        if (head !== 'nothing' && 'code' in head && head.code !== 'PROTOCOL_TRUNCATED') expect(whole).toEqual(head)
      }),
      { numRuns: 300 },
    )
  })
})
