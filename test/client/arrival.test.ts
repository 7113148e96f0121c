import { expect, test } from '@jest/globals'
import fc from 'fast-check'

import { Arrival } from '../../lib/client/arrival.ts'
import type { StreamEncoding } from '../../lib/client/request.ts'
import { blockFrame, createEncoder, dataFrames } from '../../lib/encodings/index.ts'
import { BackupError } from '../../lib/errors/index.ts'
import { type ProgressBlock, writeEnd, writeKvBlock } from '../../lib/protocol/index.ts'
import { cutAt, everyCut } from '../protocol/cuts.ts'
import { complete, endFrame, framed, progressFrame, sha256 } from './scripted-agent.ts'

const ARCHIVE = Buffer.from('what an archive is made of, some forty bytes')

interface Arrived {
  readonly bytes: Buffer
  readonly digest: string
  readonly counted: number
  readonly progress: readonly ProgressBlock[]
  readonly verdict: string | undefined
}

/** Every chunk is overwritten once it was dealt with, as a socket's may be. */
async function* lent(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  for (const chunk of chunks) {
    const copy = Buffer.from(chunk)
    yield copy
    copy.fill(0xff)
  }
}

const arrive = async (chunks: readonly Buffer[], encoding: StreamEncoding = 'framed'): Promise<Arrived> => {
  const progress: ProgressBlock[] = []
  const pieces: Buffer[] = []
  let counted = 0
  const arrival = new Arrival({
    encoding,
    onBytes: (bytes) => {
      counted += bytes
    },
    onProgress: (block) => progress.push(block),
  })
  for await (const bytes of arrival.bytes(lent(chunks))) pieces.push(Buffer.from(bytes))
  return { bytes: Buffer.concat(pieces), digest: arrival.digest, counted, progress, verdict: arrival.verdict?.sha256 }
}

const failure = async (...chunks: readonly Buffer[]): Promise<BackupError> => {
  try {
    await arrive(chunks)
  } catch (error) {
    if (error instanceof BackupError) return error
    throw error
  }
  throw new Error('expected a failure, all of it was taken')
}

test('a framed stream gives the archive, its digest, the progress and the verdict, wherever it is cut', async () => {
  const stream = framed(ARCHIVE, {}, 10)

  const differing: string[] = []
  for (const { cut, chunks } of everyCut(stream)) {
    const { bytes, digest, counted, progress, verdict } = await arrive(chunks)
    const isRight =
      bytes.equals(ARCHIVE) &&
      counted === ARCHIVE.length &&
      digest === sha256(ARCHIVE) &&
      verdict === digest &&
      progress.length === 6 &&
      progress.at(-1)?.percent === 50
    if (!isRight) differing.push(cut)
  }

  expect(differing).toEqual([])
})

test('a framed stream that stops early is refused, wherever it does', async () => {
  const stream = framed(ARCHIVE, {}, 10)

  const codes = new Set<string>()
  for (let length = 0; length < stream.length; length += 1) codes.add((await failure(stream.subarray(0, length))).code)

  expect([...codes]).toEqual(['FRAME_TRUNCATED'])
})

test('nothing behind the end frame is asked for', async () => {
  let askedOn = false
  const arrival = new Arrival({ encoding: 'framed', onBytes: () => undefined, onProgress: () => undefined })
  const wire = async function* (): AsyncGenerator<Buffer> {
    yield framed(ARCHIVE)
    askedOn = true // an agent that waits for its receipt would never answer
  }

  for await (const _ of arrival.bytes(wire())) {
    // to the end
  }

  expect({ askedOn, verdict: arrival.verdict?.status }).toEqual({ askedOn: false, verdict: 'COMPLETE' })
})

test.each<[string, () => Buffer, string]>([
  ['an unknown frame', () => Buffer.concat([Buffer.from('Z\0\0\0\x01x'), framed(ARCHIVE)]), 'FRAME_CORRUPT'],
  ['a data frame over the limit', () => Buffer.from('D\0\x10\0\x01x'), 'FRAME_CORRUPT'],
  ['an empty data frame', () => Buffer.from('D\0\0\0\0'), 'FRAME_CORRUPT'],
  ['a block over the limit', () => Buffer.from('P\0\x01\0\x01x'), 'FRAME_CORRUPT'],
  ['a digest of something else', () => framed(ARCHIVE, { sha256: sha256(Buffer.of(1)) }), 'CLIENT_MISMATCH'],
  ['a byte more than was sent', () => framed(ARCHIVE, { bytes: ARCHIVE.length + 1 }), 'CLIENT_MISMATCH'],
  ['a byte less than was sent', () => framed(ARCHIVE, { bytes: ARCHIVE.length - 1 }), 'CLIENT_MISMATCH'],
  ['an end that says failed', () => Buffer.concat([...dataFrames(ARCHIVE), failedFrame()]), 'CLIENT_BACKUP_FAILED'],
  ['an end of another status', () => blockFrame('end', block({ status: 'DONE', sid: 's' })), 'PROTOCOL_VALUE_INVALID'],
  ['an end without a digest', () => blockFrame('end', withoutDigest()), 'PROTOCOL_KEY_MISSING'],
  ['an end that is no block', () => blockFrame('end', Buffer.from('COMPLETE\n')), 'PROTOCOL_COUNT_INVALID'],
  [
    'two blocks in one end',
    () => blockFrame('end', Buffer.concat([writeEnd(complete(ARCHIVE)), block({ a: 'b' })])),
    'PROTOCOL_TRAILING_BYTES',
  ],
  [
    'half a block in an end',
    () => blockFrame('end', writeEnd(complete(ARCHIVE)).subarray(0, 60)),
    'PROTOCOL_TRUNCATED',
  ],
  ['progress that is no number', () => blockFrame('progress', block({ bytes: 'many' })), 'PROTOCOL_VALUE_INVALID'],
])('refuses %s, however it arrives', async (_, wire, code) => {
  const bytes = wire()

  expect((await failure(bytes)).code).toBe(code)
  expect((await failure(...[...bytes].map((byte) => Buffer.of(byte)))).code).toBe(code)
})

// What comes behind the end in a piece of its own is looked at when the backup is about to get its name: an agent that
// waits for its receipt sends nothing more that could be waited for.
test.each<[string, () => Buffer]>([
  ['two end frames', () => Buffer.concat([framed(ARCHIVE), endFrame(ARCHIVE)])],
  ['data behind the end', () => Buffer.concat([framed(ARCHIVE), ...dataFrames(ARCHIVE)])],
  ['one byte behind the end', () => Buffer.concat([framed(ARCHIVE), Buffer.of(0)])],
  ['a byte behind an end that says failed', () => Buffer.concat([failedFrame(), Buffer.of(0)])],
])('refuses %s, in the piece that brings the end', async (_, wire) => {
  expect((await failure(wire())).code).toBe('FRAME_CORRUPT')
})

test('says why the backup failed, in the words and numbers of the agent', async () => {
  const error = await failure(failedFrame())

  expect(error.message).toBe('the backup failed on the database host: the disk was full')
  expect(error.facts).toEqual({ agentCode: 'ENGINE_FAILED', bytes: 7, engineSignal: 'SIGKILL' })
  expect(error.exitStatus).toBe(4)
})

test.each(['octet', 'base64', 'uuencode'] as const)(
  '%s gives the archive and its digest, and no verdict',
  async (name) => {
    const encoder = createEncoder(name)
    const wire = Buffer.concat([...encoder.encode(ARCHIVE), ...encoder.end()].map((piece) => piece.wire))

    const { bytes, digest, verdict } = await arrive([wire], name)

    expect({ bytes, digest, verdict }).toEqual({ bytes: ARCHIVE, digest: sha256(ARCHIVE), verdict: undefined })
  },
)

test('any archive in any frames, cut anywhere, arrives as it was', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 3000 }),
      fc.integer({ min: 1, max: 700 }),
      fc.array(fc.nat(4000), { maxLength: 20 }),
      async (raw, pieceBytes, places) => {
        const bytes = Buffer.from(raw)
        const arrived = await arrive(cutAt(framed(bytes, {}, pieceBytes), places))
        expect(arrived.bytes.equals(bytes)).toBe(true)
      },
    ),
    { numRuns: 100 },
  )
})

test('a changed byte of the stream never arrives as a backup', async () => {
  const stream = framed(ARCHIVE, {}, 10)
  // Words for people, and numbers about progress, may change; the archive and its end may not.
  const taken: number[] = []
  for (let at = 0; at < stream.length; at += 1) {
    const changed = Buffer.from(stream)
    changed[at] = (stream[at] as number) ^ 0x01
    const arrived = await arrive([changed]).catch(() => undefined)
    if (arrived !== undefined && !arrived.bytes.equals(ARCHIVE)) taken.push(at)
  }

  expect(taken).toEqual([])
})

const block = (pairs: Record<string, string>): Buffer => writeKvBlock(Object.entries(pairs))

const withoutDigest = (): Buffer =>
  Buffer.from(
    writeEnd(complete(ARCHIVE))
      .toString()
      .replace(/sha256=.*\n/, 'something=else\n'),
  )

const failedFrame = (): Buffer =>
  blockFrame(
    'end',
    writeEnd({
      status: 'FAILED',
      msg: 'the disk was full',
      sid: 'nightly',
      code: 'ENGINE_FAILED',
      bytes: 7,
      engineSignal: 'SIGKILL',
    }),
  )

test('progress is told as it comes', async () => {
  const { progress } = await arrive([progressFrame(12), framed(ARCHIVE, {}, 100)])

  expect(progress.map(({ percent, eta, stage }) => ({ percent, eta, stage }))).toEqual([
    { percent: 12, eta: 7, stage: 'copying' },
    { percent: 0, eta: 7, stage: 'copying' },
    { percent: 50, eta: 7, stage: 'copying' },
  ])
})
