import { readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'

import { LIMITS, parseVersion, RequestParser, readRequest, refuseTrailingBytes } from '../../lib/protocol/index.ts'
import { everyCut, outcomeOf, refusalOf } from './cuts.ts'

const fixture = (name: string): Buffer => readFileSync(new URL(`../../../fixtures/protocol/${name}`, import.meta.url))

/** The example of the original protocol text, and a request as deployed clients send them. */
const EXAMPLE = fixture('protocol-text-example.request')
const DEPLOYED = fixture('deployed-client.request')

test.each(everyCut(EXAMPLE))('reads the example of the protocol text as it stands, cut $cut', ({ chunks }) => {
  const outcome = outcomeOf(new RequestParser(), chunks)

  expect(outcome).toMatchObject({
    result: {
      version: { text: '0.76.1', major: 0, minor: 76, micro: 1 },
      block: new Map([
        ['action', 'copy from'],
        ['user', 'backupdb'],
        ['password', 's3cUre'],
        ['backup-level', '0'],
        ['replication', '1'],
        ['file', '/srv/backups/BackupSet/20110304005033/ZRM_LINKS/.'],
      ]),
      rest: Buffer.alloc(0),
    },
  })
})

test('reads the same 60 pairs of a deployed client wherever they are cut', () => {
  const lines = DEPLOYED.toString().split('\n')
  const pairs = lines.slice(2, 62).map((line) => {
    const [key, ...value] = line.split('=')
    return [key, value.join('=')]
  })
  const expected = { version: { text: '0.75.1' }, block: new Map(pairs as [string, string][]), rest: Buffer.alloc(0) }

  expect(expected.block.size).toBe(60)
  for (const { cut, chunks } of everyCut(DEPLOYED)) {
    expect([cut, outcomeOf(new RequestParser(), chunks)]).toMatchObject([cut, { result: expected }])
  }
})

test('a deployed client gets what it asks for, its odd values as they are and its other keys ignored', () => {
  const parsed = new RequestParser().push(DEPLOYED)

  const request = readRequest(parsed?.block ?? new Map(), parseVersion('0.75.1'))

  expect(request).toMatchObject({
    action: 'copy from',
    password: 'p=w;d:"x" \'y\' #z\\',
    level: 'full',
    startsBackup: true,
    sid: '/srv/backups/Nightly/20240311020001',
    streamEncoding: 'application/x-uuencode-stream',
    blockBytes: 10_240,
  })
})

test.each(everyCut(Buffer.concat([EXAMPLE, Buffer.from('more')])))(
  'hands back what stands behind the request untouched, cut $cut',
  ({ chunks }) => {
    expect(outcomeOf(new RequestParser(), chunks)).toMatchObject({ result: { rest: Buffer.from('more') } })
  },
)

describe('refuses, wherever the wire is cut,', () => {
  test.each([
    ['a version that is none', '76.1\n', 'PROTOCOL_VERSION_INVALID', 1],
    ['a version of the field that is none', '1.8b7_palomino\n1\na=1\n\n', 'PROTOCOL_VERSION_INVALID', 1],
    ['an empty version line', '\n1\na=1\n\n', 'PROTOCOL_VERSION_INVALID', 1],
    ['a request without a version', '1\na=1\n\n', 'PROTOCOL_VERSION_INVALID', 1],
    ['lines that end with CR LF', '0.76.1\r\n1\r\na=1\r\n\r\n', 'PROTOCOL_VERSION_INVALID', 1],
    ['bytes that are no text', '\xff\xfe\0\n', 'PROTOCOL_VERSION_INVALID', 1],
    ['a newer minor', '0.78.0\n', 'PROTOCOL_VERSION_INCOMPATIBLE', 1],
    ['another major', '1.0.0\n', 'PROTOCOL_VERSION_INCOMPATIBLE', 1],
    ['a version line that does not end', '0.76.'.padEnd(65, '1'), 'PROTOCOL_LINE_TOO_LONG', 1],
    ['a count that is none', '0.76.1\nx\n', 'PROTOCOL_COUNT_INVALID', 2],
    ['a bad pair, counting lines from the version', '0.76.1\n2\na=1\nb\n\n', 'PROTOCOL_PAIR_INVALID', 4],
    ['a key twice', '0.76.1\n2\na=1\na=2\n\n', 'PROTOCOL_KEY_DUPLICATE', 4],
    ['an end in the version', '0.76', 'PROTOCOL_TRUNCATED', 1],
    ['an end behind the version', '0.76.1\n', 'PROTOCOL_TRUNCATED', 2],
    ['an end in the block', '0.76.1\n1\na=', 'PROTOCOL_TRUNCATED', 3],
  ])('%s', (_, wire, code, line) => {
    for (const { cut, chunks } of everyCut(Buffer.from(wire, 'latin1'))) {
      expect([cut, outcomeOf(new RequestParser(), chunks)]).toMatchObject([cut, { code, line }])
    }
  })
})

test('judges the version when its line is there, before a byte of the count', () => {
  const parser = new RequestParser()

  parser.push(Buffer.from('0.78.0'))
  const refusal = refusalOf(() => parser.push(Buffer.from('\n')))

  expect(refusal.code).toBe('PROTOCOL_VERSION_INCOMPATIBLE')
})

test('knows the version before the block has come, and whether anything has come at all', () => {
  const parser = new RequestParser()

  parser.push(Buffer.alloc(0))
  expect([parser.started, parser.version]).toEqual([false, undefined])

  parser.push(Buffer.from('0.75.1\n'))
  expect([parser.started, parser.version?.minor]).toEqual([true, 75])
})

test('a version line of the limit is read, even when it is none', () => {
  const line = '1'.repeat(LIMITS.maxVersionBytes)

  expect(refusalOf(() => new RequestParser().push(Buffer.from(`${line}\n`))).code).toBe('PROTOCOL_VERSION_INVALID')
})

test('an agent of another version judges by its own', () => {
  const agent = parseVersion('0.75.0')

  expect(refusalOf(() => new RequestParser({ agent }).push(EXAMPLE)).message).toContain('This agent speaks 0.75.0')
})

test('a peer that leaves without a byte has asked for nothing, and that is no error', () => {
  const parser = new RequestParser()

  expect(() => parser.end()).not.toThrow()
})

test.each([
  ['a request', '0.76.1\n0\n\n'],
  ['a refused version', 'x\n'],
  ['a refused block', '0.76.1\nx\n'],
])('being fed after %s is a bug, and its end no second error', (_, wire) => {
  const parser = new RequestParser()
  outcomeOf(parser, [Buffer.from(wire)])

  expect(() => parser.end()).not.toThrow()
  expect(() => parser.push(Buffer.from('1'))).toThrow(/^bug: /)
})

describe('bytes behind a request', () => {
  test('are refused, and shown by their first byte only', () => {
    const refusal = refusalOf(() => refuseTrailingBytes(Buffer.from('\x00hunter2')))

    expect(refusal.code).toBe('PROTOCOL_TRAILING_BYTES')
    expect(refusal.message).toBe('expected nothing after the request, found 8 bytes beginning with "\\x00"')
  })

  test('are no matter when there are none', () => {
    expect(() => refuseTrailingBytes(Buffer.alloc(0))).not.toThrow()
  })
})
