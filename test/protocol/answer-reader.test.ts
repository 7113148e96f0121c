import { describe, expect, test } from '@jest/globals'

import { AnswerReader, readStatus, writeReady, writeStatus } from '../../lib/protocol/index.ts'
import { everyCut, outcomeOf, refusalOf } from './cuts.ts'

const STREAM = Buffer.from('\0\0\x37\x20M...\nREADY\n\n')
const SENDING = Buffer.concat([writeReady(), writeStatus({ status: 'SENDING', msg: 'go', sid: 's' }), STREAM])
const FAILED = writeStatus({ status: 'FAILED', msg: 'no' })

test.each(everyCut(SENDING))('reads READY, the block and where the stream begins, cut $cut', ({ chunks }) => {
  expect(outcomeOf(new AnswerReader(), chunks)).toEqual({
    result: {
      ready: true,
      block: new Map([
        ['status', 'SENDING'],
        ['msg', 'go'],
        ['sid', 's'],
      ]),
      rest: STREAM,
    },
  })
})

test.each(everyCut(FAILED))('reads a block in place of READY, cut $cut', ({ chunks }) => {
  expect(outcomeOf(new AnswerReader(), chunks)).toEqual({
    result: {
      ready: false,
      block: new Map([
        ['status', 'FAILED'],
        ['msg', 'no'],
      ]),
      rest: Buffer.alloc(0),
    },
  })
})

test('hands on the beginning of the stream as a view of the chunk, not a copy', () => {
  const chunk = Buffer.from(SENDING)

  const answer = new AnswerReader().push(chunk)
  chunk.fill('!', chunk.length - 1)

  expect(answer?.rest.at(-1)).toBe(0x21)
})

test.each([
  ['alone', 'READY\n'],
  ['with CR', 'READY\r\n'],
  ['among other words', 'agent 0.76 READY to go\n'],
  ['behind bytes that are no text', '\xff\xfeREADY\n'],
])('READY counts %s', (_, line) => {
  const wire = Buffer.concat([Buffer.from(line, 'latin1'), Buffer.from('0\n\n')])

  for (const { cut, chunks } of everyCut(wire)) {
    expect([cut, outcomeOf(new AnswerReader(), chunks)]).toMatchObject([cut, { result: { ready: true } }])
  }
})

test('knows that READY has come before the block has', () => {
  const reader = new AnswerReader()

  reader.push(Buffer.from('READ'))
  expect(reader.ready).toBe(false)

  reader.push(Buffer.from('Y\n'))
  expect(reader.ready).toBe(true)
})

describe('refuses, wherever the wire is cut,', () => {
  test.each([
    ['another program', 'SSH-2.0-OpenSSH_9.2p1\r\n', 'PROTOCOL_ANSWER_INVALID', 'found "SSH-2.0-OpenSSH_9.2p1\\r"'],
    ['an empty line', '\n2\n', 'PROTOCOL_ANSWER_INVALID', 'found ""'],
    ['READY in small letters', 'ready\n', 'PROTOCOL_ANSWER_INVALID', 'found "ready"'],
    ['a pair where the count should be', 'status=FAILED\n', 'PROTOCOL_ANSWER_INVALID', 'status=FAILED'],
    ['bytes of a terminal', '\x1b[2Jowned\n', 'PROTOCOL_ANSWER_INVALID', '"\\x1b[2Jowned"'],
    ['a first line without an end', 'x'.repeat(257), 'PROTOCOL_ANSWER_INVALID', `"${'x'.repeat(80)}"…`],
    ['READY behind too long a line', `${'x'.repeat(300)}READY\n`, 'PROTOCOL_ANSWER_INVALID', 'xxx'],
    ['READY at the beginning of too long a line', `READY${'x'.repeat(300)}\n`, 'PROTOCOL_ANSWER_INVALID', 'READY'],
    ['a count over the limit', '1000\n', 'PROTOCOL_COUNT_TOO_LARGE', 'at most 256'],
    ['a count with a leading zero', '02\n', 'PROTOCOL_COUNT_INVALID', 'plain digits'],
    ['a count without an end', '9'.repeat(257), 'PROTOCOL_COUNT_TOO_LARGE', '(line 1)'],
    ['a broken block behind READY', 'READY\n1\nstatus\n\n', 'PROTOCOL_PAIR_INVALID', '(line 3)'],
    ['a broken block in place of READY', '1\nstatus\n\n', 'PROTOCOL_PAIR_INVALID', '(line 2)'],
    ['the stream right behind READY', 'READY\n\0\0\x37\x20M\n', 'PROTOCOL_COUNT_INVALID', '(line 2)'],
    ['an end before the first byte', '', 'PROTOCOL_TRUNCATED', 'READY or a block'],
    ['an end in the first line', 'REA', 'PROTOCOL_TRUNCATED', 'READY or a block'],
    ['an end behind READY', 'READY\n', 'PROTOCOL_TRUNCATED', 'a status block after READY'],
    ['an end in the block', 'READY\n1\nst', 'PROTOCOL_TRUNCATED', '(line 3)'],
  ])('%s', (_, wire, code, words) => {
    for (const { cut, chunks } of everyCut(Buffer.from(wire, 'latin1'))) {
      const outcome = outcomeOf(new AnswerReader(), chunks)

      expect([cut, outcome]).toMatchObject([cut, { code }])
      expect((outcome as { message: string }).message).toContain(words)
    }
  })

  test('a program that is no agent with a hint where to look', () => {
    const refusal = refusalOf(() => new AnswerReader().push(Buffer.from('HTTP/1.1 400 Bad Request\r\n')))

    expect(refusal.hint).toContain('port')
  })
})

test.each([
  ['an answer', 'READY\n0\n\n'],
  ['a refused first line', 'x\n'],
  ['a refused block', 'READY\nx\n'],
])('being fed after %s is a bug, and its end no second error', (_, wire) => {
  const reader = new AnswerReader()
  outcomeOf(reader, [Buffer.from(wire)])

  expect(() => reader.end()).not.toThrow()
  expect(() => reader.push(Buffer.from('1'))).toThrow(/^bug: /)
})

describe('a status block', () => {
  test('is read back as it was written', () => {
    const answer = new AnswerReader().push(writeStatus({ status: 'FAILED', msg: 'a=b', sid: '/x' }, [['code', 'X']]))

    expect(readStatus(answer?.block ?? new Map())).toEqual({ status: 'FAILED', msg: 'a=b', sid: '/x' })
  })

  test.each(['SENDING', 'OK', 'FAILED', 'ACCEPTED', 'RUNNING', 'COMPLETE'])('may be %s', (status) => {
    expect(readStatus(new Map([['status', status]]))).toEqual({ status, msg: '' })
  })

  test('may lack a msg and a sid', () => {
    expect(readStatus(new Map([['status', 'OK']]))).toEqual({ status: 'OK', msg: '' })
  })

  test.each([
    ['none', new Map([['msg', 'x']]), 'found none'],
    ['an unknown one', new Map([['status', 'sending']]), 'found "sending"'],
    ['one that only a receipt has', new Map([['status', 'RECEIVED']]), 'found "RECEIVED"'],
    ['one that objects have already', new Map([['status', 'toString']]), 'found "toString"'],
  ])('with %s for a status is refused', (_, block, words) => {
    const refusal = refusalOf(() => readStatus(block))

    expect(refusal.code).toBe('PROTOCOL_ANSWER_INVALID')
    expect(refusal.message).toContain(words)
  })
})
