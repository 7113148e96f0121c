import { describe, expect, test } from '@jest/globals'

import { createDecoder, createEncoder, encodingFromMime, uuencodedBytes } from '../../lib/encodings/index.ts'
import { BackupError, CATALOGUE } from '../../lib/errors/index.ts'
import {
  AnswerReader,
  KvBlockParser,
  LIMITS,
  parseVersion,
  RequestParser,
  readRequest,
  readStatus,
  refuseTrailingBytes,
} from '../../lib/protocol/index.ts'
import { type Cut, everyCut, type Outcome, outcomeOf, refusalOf } from './cuts.ts'
import { type Expected, findExamples, readProtocolDocument, spelledBytes } from './document-examples.ts'

const DOCUMENT = readProtocolDocument()
const EXAMPLES = findExamples(DOCUMENT)

const ofKind = <Kind extends string>(kind: Kind) =>
  EXAMPLES.filter((example): example is Extract<typeof example, { kind: Kind }> => example.kind === kind).map(
    (example) => [`line ${example.at}`, example] as const,
  )

/** The cuts of a long example would take minutes; its ends and its middle are cut like all others. */
const cutsOf = (wire: Buffer): Cut[] => {
  const cuts = everyCut(wire)
  return wire.length <= 1024 ? cuts : [...cuts.slice(0, 64), ...cuts.slice(-64)]
}

/** What came out, said as the document says it: the line only where the document names one. */
const inWordsOf = (expected: Expected, outcome: Outcome<unknown>): unknown => {
  if (outcome === 'nothing') return 'nothing'
  if (!('code' in outcome)) return { outcome: 'accepted' }
  const isLineSaid = expected.outcome === 'refused' && expected.line !== undefined
  return { outcome: 'refused', code: outcome.code, line: isLineSaid ? outcome.line : undefined }
}

/** A request is accepted when it can be parsed, nothing stands behind it, and its keys mean something. */
const requestOutcome = (chunks: readonly Buffer[]): Outcome<unknown> => {
  const outcome = outcomeOf(new RequestParser(), chunks)
  if (outcome === 'nothing' || 'code' in outcome) return outcome
  try {
    refuseTrailingBytes(outcome.result.rest)
    readRequest(outcome.result.block)
    return outcome
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    return { code: error.code, line: error.facts['line'], message: error.message }
  }
}

test('the document holds examples of every kind, so that none of these tests is empty', () => {
  const count = (kind: string, outcome?: string): number =>
    EXAMPLES.filter(
      (example) =>
        example.kind === kind &&
        (outcome === undefined || ('expected' in example && example.expected.outcome === outcome)),
    ).length

  expect(count('kv', 'accepted')).toBeGreaterThanOrEqual(5)
  expect(count('kv', 'refused')).toBeGreaterThanOrEqual(18)
  expect(count('request', 'accepted')).toBeGreaterThanOrEqual(4)
  expect(count('request', 'refused')).toBeGreaterThanOrEqual(12)
  expect(count('version', 'accepted')).toBeGreaterThanOrEqual(1)
  expect(count('version', 'refused')).toBeGreaterThanOrEqual(1)
  expect(count('answer', 'accepted')).toBeGreaterThanOrEqual(4)
  expect(count('answer', 'refused')).toBeGreaterThanOrEqual(4)
  expect(count('encoding')).toBeGreaterThanOrEqual(6)
  expect(count('conversation')).toBeGreaterThanOrEqual(6)
})

test('every code of the protocol that a reader can give has an example that is refused with it', () => {
  const shown = new Set(
    EXAMPLES.flatMap((example) =>
      'expected' in example && example.expected.outcome === 'refused' ? example.expected.code : [],
    ),
  )
  const codes = Object.keys(CATALOGUE).filter((code) => code.startsWith('PROTOCOL_'))

  expect(codes.filter((code) => !shown.has(code))).toEqual([])
})

describe('a block', () => {
  test.each(ofKind('kv'))('%s is read as the document says, wherever it is cut', (_, { wire, expected }) => {
    for (const { cut, chunks } of cutsOf(wire)) {
      const outcome = outcomeOf(new KvBlockParser(), chunks)

      expect([cut, inWordsOf(expected, outcome)]).toEqual([cut, expected])
      if (outcome !== 'nothing' && 'result' in outcome) expect(outcome.result.rest).toHaveLength(0)
    }
  })
})

describe('a request', () => {
  test.each(ofKind('request'))('%s is read as the document says, wherever it is cut', (_, { wire, expected }) => {
    for (const { cut, chunks } of cutsOf(wire)) {
      expect([cut, inWordsOf(expected, requestOutcome(chunks))]).toEqual([cut, expected])
    }
  })
})

describe('a version', () => {
  test.each(
    ofKind('version').flatMap(([, { versions, expected }]) =>
      versions.map((text) => [JSON.stringify(text), text, expected] as const),
    ),
  )('%s is judged as the document says', (_, text, expected) => {
    if (expected.outcome === 'accepted') expect(parseVersion(text).text).toBe(text)
    else expect(refusalOf(() => parseVersion(text)).code).toBe(expected.code)
  })
})

describe('an answer', () => {
  test.each(ofKind('answer'))('%s is read as the document says, wherever it is cut', (_, { wire, expected }) => {
    for (const { cut, chunks } of cutsOf(wire)) {
      const outcome = outcomeOf(new AnswerReader(), chunks)

      expect([cut, inWordsOf(expected, outcome)]).toEqual([cut, expected])
      if (outcome !== 'nothing' && 'result' in outcome) expect(readStatus(outcome.result.block).status).not.toBe('')
    }
  })
})

describe('an encoding', () => {
  test.each(ofKind('encoding'))('%s comes out byte for byte, and back', (_, { mime, blockBytes, raw, wire }) => {
    const name = encodingFromMime(mime)
    const encoder = createEncoder(name, { blockBytes })
    const decoder = createDecoder(name, { blockBytes })

    const encoded = Buffer.concat([...encoder.encode(raw), ...encoder.end()].map((piece) => piece.wire))
    const decoded = Buffer.concat([...decoder.decode(wire), ...decoder.end()])

    expect(encoded.toString('latin1')).toBe(wire.toString('latin1'))
    expect(decoded.toString('latin1')).toBe(raw.toString('latin1'))
  })

  test('the sums in the text are right', () => {
    const base64Bytes = (rawBytes: number): number => {
      const encoder = createEncoder('base64')
      return [...encoder.encode(Buffer.alloc(rawBytes)), ...encoder.end()].reduce(
        (sum, { wire }) => sum + wire.length,
        0,
      )
    }
    const prose = DOCUMENT.replace(/\s+/g, ' ')
    const tooLong = Array.from({ length: 20_000 }, (_, index) => index + 57).filter(
      (blockBytes) => uuencodedBytes(blockBytes) > 1.38 * blockBytes,
    )

    expect(prose).toContain('14074 + 38 = 14112')
    expect(uuencodedBytes(10_240)).toBe(14_112)
    expect(prose).toContain('57 raw bytes give 80 bytes')
    expect(uuencodedBytes(57)).toBe(80)
    expect(prose).toContain('body(1048576) = 1444708')
    expect(uuencodedBytes(1_048_576)).toBe(1_444_708)
    expect(prose).toContain('never happens from B = 2072 on')
    expect(tooLong.at(-1)).toBe(2071)
    expect(prose).toContain('13783 + 53 = 13836')
    expect(base64Bytes(10_240)).toBe(13_836)
  })
})

describe('a conversation', () => {
  test.each(ofKind('conversation'))('%s is possible, and ends as it must', (_, example) => {
    const { client, answer, events, outcome } = example
    const request = outcomeOf(new RequestParser(), [client])
    const said = outcomeOf(new AnswerReader(), [answer])
    if (said === 'nothing' || 'code' in said) throw new Error(`no answer: ${JSON.stringify(said)}`)
    const status = readStatus(said.result.block)

    expect(status.status).toBe({ sending: 'SENDING', ok: 'OK', failed: 'FAILED' }[outcome])
    expect(said.result.ready).toBe(outcome !== 'failed')
    expect(said.result.rest).toHaveLength(0)
    expect(answer.toString('latin1')).toMatch(example.answerPattern)
    const ending = events.at(-1)?.name
    const stream = events.find(({ name }) => name === 'stream')
    expect(ending).toMatch(outcome === 'sending' ? /^(?:fin|reset)$/ : /^fin$/)
    expect(stream !== undefined).toBe(outcome === 'sending')
    if (outcome === 'failed') {
      expect(Object.keys(CATALOGUE)).toContain(said.result.block.get('code'))
      if (request !== 'nothing' && 'code' in request) {
        expect(said.result.block.get('code')).toBe(request.code)
        expect(request.message.startsWith(status.msg.replace(/\{text\}$/, ''))).toBe(true)
      }
    } else {
      if (request === 'nothing' || 'code' in request) throw new Error(`no request: ${JSON.stringify(request)}`)
      const asked = readRequest(request.result.block)
      if (asked.action !== 'copy from') throw new Error('expected a copy')
      expect(asked.startsBackup).toBe(outcome === 'sending')
      expect(status.sid).toBe(asked.sid ?? '{sid}')
      if (stream !== undefined) expect(stream.note).toBe(asked.streamEncoding ?? 'application/x-uuencode-stream')
    }
  })
})

test('the table of limits holds what the code enforces, every one of them', () => {
  const section = DOCUMENT.slice(DOCUMENT.indexOf('\n## Limits\n'))

  const table = [...section.matchAll(/^\| `(\w+)` \| (\d+) \|/gm)].map(([, name, value]) => [name, Number(value)])

  expect(table).toEqual(Object.entries(LIMITS))
})

describe('an example that cannot be run is an error, not an example less', () => {
  test.each([
    ['an unknown kind', '```kv2 accepted\n0\\n\n```', /unknown kind/],
    ['no kind at all', '```\n0\\n\n```', /unknown kind/],
    ['an unknown outcome', '```kv acepted\n0\\n\n```', /neither accepted nor refused/],
    ['a refusal without a code', '```kv refused\n0\\n\n```', /neither accepted nor refused/],
    ['an odd place', '```kv refused PROTOCOL_PAIR_INVALID line\n0\\n\n```', /an odd place/],
    ['words behind a picture', '```text kv\n0\\n\n```', /words that mean nothing/],
    ['an escape that is none', '```kv accepted\n0\\q\n```', /an escape that is none/],
    ['a backslash at the end', '```kv accepted\n0\\\n```', /an escape that is none/],
    ['an unknown speaker', '```conversation failed\nB: 0\\n\n```', /neither C: nor A:/],
    ['an unknown event', '```conversation failed\n-- boom\n```', /neither C: nor A:/],
    ['an empty example', '```kv accepted\n```', /nothing in it/],
    ['an example without an end', '```kv accepted\n0\\n\n', /has no end/],
    ['a fence that is indented', ' ```kv accepted\n0\\n\n```', /odd fence/],
    ['a longer fence', '````kv accepted\n0\\n\n````', /expected the end|unknown kind/],
  ])('%s', (_, markdown, message) => {
    expect(() => findExamples(markdown)).toThrow(message)
  })

  test('the bytes are those that are spelled', () => {
    expect(spelledBytes('é\\n\\r\\t\\\\n\\{sid}\\xff\\*3(a\\n)')).toEqual(
      Buffer.concat([Buffer.from('é\n\r\t\\n{sid}'), Buffer.of(0xff), Buffer.from('a\na\na\n')]),
    )
  })
})
