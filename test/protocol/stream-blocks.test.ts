import { describe, expect, test } from '@jest/globals'

import { blockFrame } from '../../lib/encodings/index.ts'
import {
  type CompleteBlock,
  type EndBlock,
  type FailedBlock,
  type KvBlock,
  LIMITS,
  type ProgressBlock,
  parseBlock,
  type ReceiptBlock,
  readEnd,
  readProgress,
  readReceipt,
  readStatus,
  type SessionFacts,
  sessionPairs,
  writeEnd,
  writeKvBlock,
  writeProgress,
  writeReceipt,
  writeStatus,
} from '../../lib/protocol/index.ts'
import { refusalOf } from './cuts.ts'

const DIGEST = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'

const PROGRESS: ProgressBlock = { bytes: 50_688, sent: 40_000, files: 6, stage: 'copying tables', percent: 42, eta: 90 }

const COMPLETE: CompleteBlock = {
  status: 'COMPLETE',
  msg: 'complete',
  sid: '/srv/backups/run = 7',
  bytes: 50_688,
  sha256: DIGEST,
  entries: 6,
  coordinates: { binlogFile: 'bin.000007', binlogPosition: 2858, gtid: '0-1-16' },
  lsn: { from: '44404', to: '1568263', checkpoint: '44404' },
  paddedFiles: 1,
  paddedBytes: 16_384,
  engine: 'mariadb-backup',
  engineVersion: '10.11.19',
  engineExit: 0,
}

const FAILED: FailedBlock = {
  status: 'FAILED',
  msg: 'the backup program died',
  sid: 'run-7',
  code: 'ENGINE_FAILED',
  bytes: 1024,
  engineExit: 1,
  engineSignal: 'SIGKILL',
}

const RECEIVED: ReceiptBlock = { status: 'RECEIVED', sid: 'run-7', bytes: 50_688, sha256: DIGEST }

/** The block again, with one key changed, or without it. */
const changed = (bytes: Buffer, key: string, value?: string): Buffer => {
  const pairs = new Map(parseBlock(bytes))
  if (value === undefined) pairs.delete(key)
  else pairs.set(key, value)
  return writeKvBlock(pairs)
}
const pairsIn = (bytes: Buffer): string[] => [...parseBlock(bytes)].map(([key, value]) => `${key}=${value}`)

test('the first block of a session says what is being done, behind status, msg and sid', () => {
  const facts: SessionFacts = {
    agent: 'kv-backup-agent/0.1.0',
    protocol: '0.77.0',
    engine: 'mariadb-backup',
    engineVersion: '10.11.19',
    format: 'xbstream',
    encoding: 'application/x-framed-stream',
    compression: 'none',
  }

  const block = parseBlock(writeStatus({ status: 'ACCEPTED', msg: 'starting', sid: 's' }, sessionPairs(facts)))

  expect([...block]).toEqual([
    ['status', 'ACCEPTED'],
    ['msg', 'starting'],
    ['sid', 's'],
    ['agent', 'kv-backup-agent/0.1.0'],
    ['protocol', '0.77.0'],
    ['engine', 'mariadb-backup'],
    ['engine-version', '10.11.19'],
    ['format', 'xbstream'],
    ['encoding', 'application/x-framed-stream'],
    ['compression', 'none'],
  ])
  expect(readStatus(block)).toEqual({ status: 'ACCEPTED', msg: 'starting', sid: 's' })
})

describe('progress', () => {
  test('is written as the protocol says, and read back', () => {
    expect(pairsIn(writeProgress(PROGRESS))).toEqual([
      'bytes=50688',
      'sent=40000',
      'files=6',
      'stage=copying tables',
      'percent=42',
      'eta=90',
    ])
    expect(readProgress(writeProgress(PROGRESS))).toEqual(PROGRESS)
  })

  test('has no percent and no eta while nobody knows them', () => {
    const { percent: _percent, eta: _eta, ...unknown } = PROGRESS

    expect(pairsIn(writeProgress(unknown))).toHaveLength(4)
    expect(Object.keys(readProgress(writeProgress(unknown)))).toEqual(['bytes', 'sent', 'files', 'stage'])
  })

  test.each([
    ['over the whole, as an estimate may be', 173.4, 90.9, { percent: 100, eta: 90 }],
    ['a bit less than the whole, which is not the whole', 99.99, 0.2, { percent: 99, eta: 0 }],
    ['divided by nothing', Number.NaN, Number.POSITIVE_INFINITY, {}],
    ['below nothing', -1, -0.5, {}],
    ['far beyond every life', 0, 1e30, { percent: 0, eta: 999_999_999_999_999 }],
  ])('writes estimates in a form that can be read: %s', (_, percent, eta, read) => {
    const { bytes, sent, files, stage } = PROGRESS

    expect(readProgress(writeProgress({ ...PROGRESS, percent, eta }))).toEqual({ bytes, sent, files, stage, ...read })
  })

  test.each(['bytes', 'sent', 'files', 'stage'])('without %s is refused', (key) => {
    const refusal = refusalOf(() => readProgress(changed(writeProgress(PROGRESS), key)))

    expect([refusal.code, refusal.facts]).toEqual(['PROTOCOL_KEY_MISSING', { key }])
  })

  test.each([
    ['bytes', '-1'],
    ['bytes', ''],
    ['sent', '1.5'],
    ['files', 'six'],
    ['percent', '101'],
    ['percent', ''],
    ['eta', 'soon'],
  ])('with a %s of %j is refused', (key, value) => {
    const refusal = refusalOf(() => readProgress(changed(writeProgress(PROGRESS), key, value)))

    expect([refusal.code, refusal.facts]).toEqual(['PROTOCOL_VALUE_INVALID', { key }])
  })
})

describe('the end of a complete backup', () => {
  test('is written as the protocol says, and read back', () => {
    expect(pairsIn(writeEnd(COMPLETE))).toEqual([
      'status=COMPLETE',
      'msg=complete',
      'sid=/srv/backups/run = 7',
      'bytes=50688',
      `sha256=${DIGEST}`,
      'entries=6',
      'binlog-file=bin.000007',
      'binlog-position=2858',
      'gtid=0-1-16',
      'lsn-from=44404',
      'lsn-to=1568263',
      'lsn-checkpoint=44404',
      'padded-files=1',
      'padded-bytes=16384',
      'engine=mariadb-backup',
      'engine-version=10.11.19',
      'engine-exit=0',
    ])
    expect(readEnd(writeEnd(COMPLETE))).toEqual(COMPLETE)
  })

  test('leaves out a set of GTIDs that outgrows a line, and nothing else', () => {
    const huge = { ...COMPLETE.coordinates, gtid: '3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5,'.repeat(200) }

    const read = readEnd(writeEnd({ ...COMPLETE, coordinates: huge }))

    expect(read).toEqual({ ...COMPLETE, coordinates: { binlogFile: 'bin.000007', binlogPosition: 2858 } })
  })

  test.each([
    'status',
    'sid',
    'bytes',
    'sha256',
    'entries',
    'padded-files',
    'padded-bytes',
    'engine',
    'engine-version',
    'engine-exit',
  ])('without %s is refused: nobody is believed who leaves that out', (key) => {
    const refusal = refusalOf(() => readEnd(changed(writeEnd(COMPLETE), key)))

    expect([refusal.code, refusal.facts]).toEqual(['PROTOCOL_KEY_MISSING', { key }])
  })

  test.each(['msg', 'binlog-file', 'binlog-position', 'gtid', 'lsn-from', 'lsn-to', 'lsn-checkpoint'])(
    'without %s is one all the same',
    (key) => {
      expect(readEnd(changed(writeEnd(COMPLETE), key))).toMatchObject({ status: 'COMPLETE', sha256: DIGEST })
    },
  )

  test.each([
    ['status', 'complete'],
    ['status', ''],
    ['status', 'SENDING'],
    ['status', 'OK'],
    ['bytes', '50688 '],
    ['sha256', DIGEST.toUpperCase()],
    ['sha256', ''],
    ['entries', '-6'],
    ['binlog-position', 'x'],
    ['lsn-from', '4 4'],
    ['lsn-to', ''],
    ['lsn-checkpoint', '1'.repeat(21)],
    ['padded-files', 'none'],
    ['padded-bytes', '0x0'],
    ['engine-exit', ''],
    ['engine-exit', '1'],
    ['engine-exit', '00'],
  ])('with a %s of %j is refused', (key, value) => {
    const refusal = refusalOf(() => readEnd(changed(writeEnd(COMPLETE), key, value)))

    expect([refusal.code, refusal.facts]).toEqual(['PROTOCOL_VALUE_INVALID', { key }])
  })
})

describe('the end of a stream without a backup', () => {
  test('is written as the protocol says, and read back', () => {
    expect(pairsIn(writeEnd(FAILED))).toEqual([
      'status=FAILED',
      'msg=the backup program died',
      'sid=run-7',
      'code=ENGINE_FAILED',
      'bytes=1024',
      'engine-exit=1',
      'engine-signal=SIGKILL',
    ])
    expect(readEnd(writeEnd(FAILED))).toEqual(FAILED)
  })

  test('says nothing of an engine that did not end by itself', () => {
    const { engineExit: _exit, engineSignal: _signal, ...cancelled } = FAILED

    expect(pairsIn(writeEnd(cancelled))).toHaveLength(5)
    expect(readEnd(writeEnd(cancelled))).toEqual(cancelled)
  })

  test('is a failure however little it says', () => {
    expect(readEnd(writeKvBlock([['status', 'FAILED']]))).toEqual({
      status: 'FAILED',
      msg: '',
      sid: '',
      code: '',
      bytes: 0,
    })
  })

  test.each([
    ['bytes', 'all'],
    ['engine-exit', '-9'],
  ])('with a %s of %j is refused', (key, value) => {
    expect(refusalOf(() => readEnd(changed(writeEnd(FAILED), key, value))).facts).toEqual({ key })
  })
})

describe('a receipt', () => {
  test.each<[string, ReceiptBlock, string[]]>([
    ['of what was received', RECEIVED, ['status=RECEIVED', 'sid=run-7', 'bytes=50688', `sha256=${DIGEST}`]],
    [
      'of what was passed on',
      { ...RECEIVED, status: 'PASSED' },
      ['status=PASSED', 'sid=run-7', 'bytes=50688', `sha256=${DIGEST}`],
    ],
    ['of what could not be kept', { status: 'FAILED', msg: 'no space left' }, ['status=FAILED', 'msg=no space left']],
  ])('%s is written as the protocol says, and read back', (_, receipt, pairs) => {
    expect(pairsIn(writeReceipt(receipt))).toEqual(pairs)
    expect(readReceipt(writeReceipt(receipt))).toEqual(receipt)
  })

  test('holds nothing but what a receipt holds', () => {
    const more = { ...RECEIVED, file: '/srv/secret', note: undefined } as ReceiptBlock

    expect(pairsIn(writeReceipt(more))).toHaveLength(4)
  })

  test('of a failure needs no words', () => {
    expect(readReceipt(writeKvBlock([['status', 'FAILED']]))).toEqual({ status: 'FAILED', msg: '' })
  })

  test.each(['status', 'sid', 'bytes', 'sha256'])('without %s is refused', (key) => {
    expect(refusalOf(() => readReceipt(changed(writeReceipt(RECEIVED), key))).code).toBe('PROTOCOL_KEY_MISSING')
  })

  test.each([
    ['status', 'OK'],
    ['status', 'COMPLETE'],
    ['bytes', ''],
    ['sha256', DIGEST.slice(2)],
  ])('with a %s of %j is refused', (key, value) => {
    const refusal = refusalOf(() => readReceipt(changed(writeReceipt(RECEIVED), key, value)))

    expect([refusal.code, refusal.facts]).toEqual(['PROTOCOL_VALUE_INVALID', { key }])
  })
})

type Reading = [string, (bytes: Buffer) => object, Buffer]
const READINGS: readonly Reading[] = [
  ['progress', readProgress, writeProgress(PROGRESS)],
  ['a complete end', readEnd, writeEnd(COMPLETE)],
  ['a failed end', readEnd, writeEnd(FAILED)],
  ['a receipt', readReceipt, writeReceipt(RECEIVED)],
]

describe.each(READINGS)('%s', (_, read, bytes) => {
  test('is read with keys that nobody knows yet, whatever their values, and in any order', () => {
    const pairs = [...parseBlock(bytes)].reverse()

    const known = read(bytes)

    expect(read(writeKvBlock([['later', '\\'], ...pairs, ['__proto__', ''], ['Bytes', '-1']]))).toEqual(known)
  })

  test.each([
    ['half a block', (whole: Buffer) => whole.subarray(0, -1), 'PROTOCOL_TRUNCATED'],
    ['more than a block', (whole: Buffer) => Buffer.concat([whole, Buffer.from('\n')]), 'PROTOCOL_TRAILING_BYTES'],
    ['two blocks', (whole: Buffer) => Buffer.concat([whole, whole]), 'PROTOCOL_TRAILING_BYTES'],
    ['nothing', () => Buffer.alloc(0), 'PROTOCOL_TRUNCATED'],
    ['an answer', (whole: Buffer) => Buffer.concat([Buffer.from('READY\n'), whole]), 'PROTOCOL_COUNT_INVALID'],
    ['an empty block', () => writeKvBlock([]), 'PROTOCOL_KEY_MISSING'],
  ])('is refused as %s', (_what, make, code) => {
    expect(refusalOf(() => read(make(bytes))).code).toBe(code)
  })
})

describe('whatever a program or a person says, the block can be written and read:', () => {
  const ODD = [
    ['nothing', ''],
    ['line breaks', 'one\ntwo\r\n'],
    ['control characters', '\u0000\u001b[2J\u007f\u009b\t'],
    ['half a surrogate pair', 'a\ud83d'],
    ['"=" and quotes', '=a=b "c" \\n'],
    ['other scripts', 'données 測試 \u{1f4be}'],
    ['no end', 'x'.repeat(100_000)],
    ['no end, in control characters, which grow', '\u0000'.repeat(100_000)],
  ] as const

  /** Nothing here is refused, and the rest of the block is not touched by it. */
  const readBack: Readonly<Record<string, (text: string) => string>> = {
    'the stage of progress': (stage) => readProgress(writeProgress({ ...PROGRESS, stage })).stage,
    'the msg of a complete end': (msg) => readEnd(writeEnd({ ...COMPLETE, msg })).msg,
    'the msg of a failed end': (msg) => readEnd(writeEnd({ ...FAILED, msg })).msg,
    'the engine of an end': (engine) => (readEnd(writeEnd({ ...COMPLETE, engine })) as CompleteBlock).engine,
    'the version of an engine': (engineVersion) =>
      (readEnd(writeEnd({ ...COMPLETE, engineVersion })) as CompleteBlock).engineVersion,
    'the code of a failure': (code) => (readEnd(writeEnd({ ...FAILED, code })) as FailedBlock).code,
    'the signal of an engine': (engineSignal) =>
      (readEnd(writeEnd({ ...FAILED, engineSignal })) as FailedBlock).engineSignal ?? 'none',
    'the msg of a receipt': (msg) => (readReceipt(writeReceipt({ status: 'FAILED', msg })) as { msg: string }).msg,
    'the version in the first block': (engineVersion) =>
      parseBlock(
        writeStatus(
          { status: 'ACCEPTED', msg: '' },
          sessionPairs({
            agent: 'a',
            protocol: 'p',
            engine: 'e',
            engineVersion,
            format: 'tar',
            encoding: 'x',
            compression: 'none',
          }),
        ),
      ).get('engine-version') ?? 'none',
  }

  test.each(Object.entries(readBack))('%s', (_, through) => {
    for (const [name, text] of ODD) {
      const read = through(text)

      expect([name, Buffer.byteLength(read) <= LIMITS.maxMessageBytes]).toEqual([name, true])
      expect([name, /[\u0000-\u001f\u007f-\u009f]/.test(read)]).toEqual([name, false])
      if (name === 'nothing' || name === '"=" and quotes' || name === 'other scripts') expect(read).toBe(text)
    }
  })

  test('and a sid as long as a line can carry it, with everything else as long as it can be', () => {
    const long = 'x'.repeat(100_000)
    const sid = 'é'.repeat((LIMITS.maxLineBytes - 'sid='.length) / 2)
    const ends: EndBlock[] = [
      {
        ...COMPLETE,
        msg: long,
        sid,
        engine: long,
        engineVersion: long,
        coordinates: { binlogFile: 'b'.repeat(4096), binlogPosition: 999_999_999_999_999, gtid: 'g'.repeat(4096) },
      },
      { ...FAILED, msg: long, sid, code: long, engineSignal: long },
    ]

    for (const end of ends) {
      const bytes = writeEnd(end)

      expect(readEnd(bytes).sid).toBe(sid)
      expect(() => blockFrame('end', bytes)).not.toThrow()
    }
    expect(readReceipt(writeReceipt({ ...RECEIVED, sid }))).toMatchObject({ sid })
  })
})

test('a number that nobody could read is a bug of whoever wrote it', () => {
  expect(() => writeEnd({ ...COMPLETE, bytes: -1 })).toThrow(/^bug: bytes cannot be -1/)
  expect(() => writeProgress({ ...PROGRESS, files: 0.5 })).toThrow(/^bug: files cannot be 0.5/)
})

test('a block of a later agent with 256 pairs is read', () => {
  const more = Array.from({ length: LIMITS.maxPairs - 17 }, (_, index) => [`later-${index}`, 'v'] as const)
  const block: KvBlock = new Map([...parseBlock(writeEnd(COMPLETE)), ...more])

  expect(block.size).toBe(LIMITS.maxPairs)
  expect(readEnd(writeKvBlock(block))).toEqual(COMPLETE)
})

describe('the end of an incremental backup', () => {
  const INCREMENT: CompleteBlock = {
    ...COMPLETE,
    increment: { fromLsn: '44404', toLsn: '18446744073709551615', baseSid: 'run = 6', baseSha256: DIGEST },
    server: { uuid: 'server-1', data: 'ibdata1-7-1' },
  }

  test('says what it stands on, and is read back', () => {
    expect(pairsIn(writeEnd(INCREMENT))).toEqual(
      expect.arrayContaining([
        'from-lsn=44404',
        'to-lsn=18446744073709551615',
        'base-sid=run = 6',
        `base-sha256=${DIGEST}`,
        'server-uuid=server-1',
        'server-data=ibdata1-7-1',
      ]),
    )
    expect(readEnd(writeEnd(INCREMENT))).toEqual(INCREMENT)
  })

  test('leaves out what is not known', () => {
    const unknown: CompleteBlock = { ...COMPLETE, increment: { fromLsn: '5', toLsn: '7' }, server: { data: 'x' } }

    expect(readEnd(writeEnd(unknown))).toEqual(unknown)
    expect(pairsIn(writeEnd(COMPLETE)).filter((pair) => /^(?:base|server|from|to)-/.test(pair))).toEqual([])
    expect(readEnd(writeEnd(COMPLETE))).toEqual(COMPLETE)
  })

  test.each([
    ['from-lsn', undefined, 'PROTOCOL_KEY_MISSING'],
    ['to-lsn', undefined, 'PROTOCOL_KEY_MISSING'],
    ['from-lsn', '-1', 'PROTOCOL_VALUE_INVALID'],
    ['to-lsn', '1'.repeat(21), 'PROTOCOL_VALUE_INVALID'],
    ['base-sha256', 'ABC', 'PROTOCOL_VALUE_INVALID'],
  ])('with %s as %s is refused', (key, value, code) => {
    expect(refusalOf(() => readEnd(changed(writeEnd(INCREMENT), key, value))).code).toBe(code)
  })
})
