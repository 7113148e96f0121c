import { describe, expect, test } from '@jest/globals'

import {
  createDecoder,
  createEncoder,
  encodingFromMime,
  FRAMED_MIME,
  FrameReader,
  MAX_BLOCK_FRAME_BYTES,
  MAX_FRAME_BYTES,
  uuencodedBytes,
} from '../../lib/encodings/index.ts'
import { BackupError, CATALOGUE } from '../../lib/errors/index.ts'
import {
  type AgentRequest,
  AnswerReader,
  isFramingVersion,
  type KvBlock,
  KvBlockParser,
  LIMITS,
  parseBlock,
  parseVersion,
  RequestParser,
  readEnd,
  readProgress,
  readReceipt,
  readRequest,
  readStatus,
  refuseTrailingBytes,
  writeKvBlock,
  writeReady,
} from '../../lib/protocol/index.ts'
import { type Cut, everyCut, type Outcome, outcomeOf, refusalOf } from './cuts.ts'
import {
  type ConversationExample,
  type Expected,
  findExamples,
  readProtocolDocument,
  spelledBytes,
} from './document-examples.ts'

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
    readRequest(outcome.result.block, outcome.result.version)
    return outcome
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    return { code: error.code, line: error.facts['line'], message: error.message }
  }
}

const MONITOR_KEYS = ['sid', 'type', 'start_time', 'end_time', 'backup_size', 'status', 'files', 'message']

/** A framed stream is accepted when its frames can be, their blocks mean something, and its end is there. */
const framedOutcome = (chunks: readonly Buffer[]): Outcome<unknown> => {
  const reader = new FrameReader()
  try {
    for (const chunk of chunks) {
      for (const event of reader.push(chunk)) {
        if (event.type === 'progress') readProgress(event.block)
        if (event.type === 'end') readEnd(event.block)
      }
    }
    reader.end()
    return { result: undefined }
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
  expect(count('frames', 'accepted')).toBeGreaterThanOrEqual(3)
  expect(count('frames', 'refused')).toBeGreaterThanOrEqual(11)
  expect(count('receipt', 'accepted')).toBeGreaterThanOrEqual(2)
  expect(count('receipt', 'refused')).toBeGreaterThanOrEqual(2)
  expect(count('encoding')).toBeGreaterThanOrEqual(6)
  expect(count('conversation')).toBeGreaterThanOrEqual(16)
})

test('every code of the protocol that a reader can give has an example that is refused with it', () => {
  const shown = new Set(
    EXAMPLES.flatMap((example) =>
      'expected' in example && example.expected.outcome === 'refused' ? example.expected.code : [],
    ),
  )
  const codes = Object.keys(CATALOGUE).filter((code) => /^(?:PROTOCOL|FRAME)_/.test(code))

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

describe('a framed stream', () => {
  test.each(ofKind('frames'))('%s is read as the document says, wherever it is cut', (_, { wire, expected }) => {
    for (const { cut, chunks } of everyCut(wire)) {
      expect([cut, inWordsOf(expected, framedOutcome(chunks))]).toEqual([cut, expected])
    }
  })
})

describe('a receipt', () => {
  test.each(ofKind('receipt'))('%s is read as the document says', (_, { wire, expected }) => {
    if (expected.outcome === 'accepted') expect(readReceipt(wire).status).toMatch(/^(?:RECEIVED|PASSED|FAILED)$/)
    else expect(refusalOf(() => readReceipt(wire)).code).toBe(expected.code)
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

/** What the client asks, and in which version. */
const askedIn = ({ client }: ConversationExample): { readonly asked: AgentRequest; readonly isFraming: boolean } => {
  const request = outcomeOf(new RequestParser(), [client])
  if (request === 'nothing' || 'code' in request) throw new Error(`no request: ${JSON.stringify(request)}`)
  const { block, version } = request.result
  return { asked: readRequest(block, version), isFraming: isFramingVersion(version) }
}

/** All blocks of an answer, and whether they stand behind `READY`. */
const saidIn = ({ answer }: ConversationExample): { readonly ready: boolean; readonly blocks: readonly KvBlock[] } => {
  if (answer.bytes.equals(writeReady())) return { ready: true, blocks: [] } // a history without a backup
  const said = outcomeOf(new AnswerReader(), [answer.bytes])
  if (said === 'nothing' || 'code' in said) throw new Error(`no answer: ${JSON.stringify(said)}`)
  const blocks: KvBlock[] = [said.result.block]
  for (let { rest } = said.result; rest.length > 0; ) {
    const next = outcomeOf(new KvBlockParser(), [rest])
    if (next === 'nothing' || 'code' in next) throw new Error(`no block: ${JSON.stringify(next)}`)
    blocks.push(next.result.block)
    rest = next.result.rest
  }
  return { ready: said.result.ready, blocks }
}

/** The end frame's block, with values for what the document leaves to the agent. */
const endIn = ({ end }: ConversationExample): ReturnType<typeof readEnd> | undefined => {
  if (end === undefined) return undefined
  const values: Readonly<Record<string, string>> = { bytes: '1', entries: '1', sha256: '0'.repeat(64) }
  const pairs = [...parseBlock(end.bytes)].map(
    ([key, value]) => [key, value === '{text}' ? (values[key] ?? value) : value] as const,
  )
  return readEnd(writeKvBlock(pairs))
}

describe('a conversation', () => {
  const ofOutcome = (...outcomes: ConversationExample['outcome'][]) =>
    ofKind('conversation').filter(([, { outcome }]) => outcomes.includes(outcome))

  test.each(ofKind('conversation'))('%s says what its pattern says, and ends as its outcome must', (_, example) => {
    const { answer, end, events, outcome, receipt } = example
    const stream = events.find(({ name }) => name === 'stream')
    const isFramed = stream?.note === FRAMED_MIME

    expect(answer.bytes.toString('latin1')).toMatch(answer.pattern)
    expect(stream !== undefined).toBe(outcome === 'sending')
    expect(events.at(-1)?.name).toMatch(outcome === 'sending' && !isFramed ? /^(?:fin|reset)$/ : /^fin$/)
    expect(end !== undefined).toBe(isFramed)
    expect(receipt !== undefined).toBe(endIn(example)?.status === 'COMPLETE')
  })

  test.each(ofOutcome('failed'))('%s is refused with a code that there is', (_, example) => {
    const request = outcomeOf(new RequestParser(), [example.client])
    const { ready, blocks } = saidIn(example)
    const [block = new Map<string, string>()] = blocks
    const { status, msg } = readStatus(block)

    expect([ready, blocks.length, status]).toEqual([false, 1, 'FAILED'])
    expect(Object.keys(CATALOGUE)).toContain(block.get('code'))
    if (request === 'nothing' || !('code' in request)) return
    expect(block.get('code')).toBe(request.code)
    expect(request.message.startsWith(msg.replace(/\{text\}$/, ''))).toBe(true)
  })

  test.each(ofOutcome('sending', 'accepted', 'ok'))('%s is about a backup, as its version has it', (_, example) => {
    const { events, outcome } = example
    const { asked, isFraming } = askedIn(example)
    if (asked.action !== 'copy from') throw new Error('expected a copy')
    const { ready, blocks } = saidIn(example)
    const mime = asked.streamEncoding ?? 'application/x-uuencode-stream'

    const last = { sending: 'SENDING', accepted: 'FAILED', ok: 'OK', answered: '', failed: '' }[outcome]
    const isAccepted = isFraming && outcome !== 'ok'
    expect(ready).toBe(true)
    expect(blocks.map((block) => readStatus(block).status)).toEqual(isAccepted ? ['ACCEPTED', last] : [last])
    for (const block of blocks) expect(block.get('sid')).toBe(asked.sid ?? '{sid}')
    expect(asked.startsBackup).toBe(outcome !== 'ok')
    if (isAccepted) expect([...(blocks[0]?.values() ?? [])]).toEqual(expect.arrayContaining([mime, asked.format]))
    if (outcome === 'accepted') expect(Object.keys(CATALOGUE)).toContain(blocks[1]?.get('code'))
    if (outcome === 'sending') expect(events.find(({ name }) => name === 'stream')?.note).toBe(mime)
  })

  const isMonitor = (example: ConversationExample): boolean => askedIn(example).asked.action === 'monitor'

  test.each(ofOutcome('answered').filter(([, example]) => isMonitor(example)))('%s is a history', (_, example) => {
    const { asked } = askedIn(example)
    if (asked.action !== 'monitor') throw new Error('bug: not a monitor')
    const { ready, blocks } = saidIn(example)

    expect(ready).toBe(true)
    for (const block of blocks) {
      expect([...block.keys()]).toEqual(MONITOR_KEYS)
      expect([asked.sid, asked.type]).toEqual([block.get('sid'), block.get('type')])
    }
  })

  test('there is a history with backups, and one without', () => {
    const histories = ofOutcome('answered').filter(([, example]) => isMonitor(example))

    expect(histories.map(([, example]) => saidIn(example).blocks.length).sort()).toEqual([0, 1])
  })

  test.each(ofOutcome('answered').filter(([, example]) => !isMonitor(example)))(
    '%s is an answer to a question of 0.77',
    (_, example) => {
      const { asked, isFraming } = askedIn(example)
      const { ready, blocks } = saidIn(example)

      expect([ready, isFraming, blocks.length]).toEqual([true, true, 1 + Number(blocks[0]?.get('jobs') ?? 0)])
      expect(asked.action).toMatch(/^(?:ping|status|cancel|verdict)$/)
      expect(readStatus(blocks[0] ?? new Map()).status).toMatch(asked.action === 'verdict' ? /./ : /^OK$/)
    },
  )

  test.each(ofOutcome('sending').filter(([, { receipt }]) => receipt !== undefined))(
    '%s is answered with a receipt of what was counted',
    (_, { client, receipt }) => {
      const sid = /^sid=(.+)$/m.exec(client.toString())?.[1]

      expect(readReceipt(receipt?.(7, 'a'.repeat(64)) ?? Buffer.alloc(0))).toEqual({
        status: 'RECEIVED',
        sid,
        bytes: 7,
        sha256: 'a'.repeat(64),
      })
    },
  )
})

test('the table of limits holds what the code enforces, every one of them', () => {
  const section = DOCUMENT.slice(DOCUMENT.indexOf('\n## Limits\n'))

  const table = [...section.matchAll(/^\| `(\w+)` \| (\d+) \|/gm)].map(([, name, value]) => [name, Number(value)])

  const ofFrames = { maxFrameBytes: MAX_FRAME_BYTES, maxBlockFrameBytes: MAX_BLOCK_FRAME_BYTES }
  expect(table).toEqual(Object.entries({ ...LIMITS, ...ofFrames }))
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
    ['an unknown speaker', '```conversation failed\nB: 0\\n\n```', /has no place here/],
    ['an unknown event', '```conversation failed\n-- boom\n```', /has no place here/],
    ['an unknown end of a conversation', '```conversation perhaps\nC: 0\\n\n```', /none of sending, accepted, ok/],
    ['words behind that end', '```conversation ok now\nC: 0\\n\n```', /none of sending, accepted, ok/],
    ['an end frame without a stream', '```conversation sending\nE: 0\\n\n```', /has no place here/],
    [
      'an answer behind a stream',
      '```conversation sending\n-- stream: application/octet-stream\nA: 0\\n\n```',
      /has no place here/,
    ],
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
