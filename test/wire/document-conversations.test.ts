import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { createHash } from 'node:crypto'
import { gunzipSync } from 'node:zlib'

import { ArchiveProof } from '../../lib/archive/index.ts'
import { Conversation } from '../../lib/client/recorded-session-conversation.ts'
import { createDecoder, encodingFromMime, FRAMED_MIME, FrameReader } from '../../lib/encodings/index.ts'
import { AnswerReader, KvBlockParser, readEnd, readProgress } from '../../lib/protocol/index.ts'
import { type ConversationExample, findExamples, readProtocolDocument } from '../protocol/document-examples.ts'
import { type Running, SITUATIONS, type SituationName, type Stage } from './situations.ts'

const CONVERSATIONS = findExamples(readProtocolDocument()).filter((example) => example.kind === 'conversation')

const endOf = ({ events }: ConversationExample): 'fin' | 'reset' =>
  events.some(({ name }) => name === 'reset') ? 'reset' : 'fin'

/** Behind a half-close nobody can tell; see `Conversation`. */
const endsLike = (example: ConversationExample): readonly unknown[] => [endOf(example), 'fin or reset']

/** A reset may overtake bytes, so the stream may stop inside a frame too. */
const CUT = expect.objectContaining({ code: expect.stringMatching(/^(?:ARCHIVE|ENCODING)_TRUNCATED$/) })

const PATIENCE = { connectMs: 5_000, silenceMs: 30_000, signal: new AbortController().signal }

/** The document says what goes wrong in words for people; all that can is that the backup program gives up. */
const situationOf = (example: ConversationExample): SituationName => {
  if (/^agent-token=/m.test(example.client.toString()) || example.answer.bytes.includes('AGENT_ACCESS_')) return 'roles'
  const isFailing = endOf(example) === 'reset' || example.end?.bytes.includes('status=FAILED')
  if (isFailing === true) return 'engine-fails-in-the-stream'
  // A directory has no increments, whatever they are to be based on.
  if (example.client.includes('\nbase-sid=')) return 'engine-fails-before-first-byte'
  return example.outcome === 'accepted' ? 'engine-fails-before-first-byte' : 'directory'
}

const streamOf = ({ events }: ConversationExample): string | undefined =>
  events.find(({ name }) => name === 'stream')?.note

/** What stands behind the answer: behind both of its blocks, where the session was accepted first. */
const behindAnswer = (bytes: Buffer): Buffer | undefined => {
  const answer = new AnswerReader().push(bytes)
  if (answer?.block.get('status') !== 'ACCEPTED') return answer?.rest
  return new KvBlockParser().push(answer.rest)?.rest
}

/** The compressor of every example is one that this process can undo. */
const isCompressed = ({ client }: ConversationExample): boolean =>
  /^(?:agent-stream-compress|xtrabackup-agent:inline-compress)=\S*gzip\b/m.test(client.toString())

const decompressed = (example: ConversationExample, bytes: Buffer): Buffer =>
  isCompressed(example) ? gunzipSync(bytes) : bytes

interface Unframed {
  readonly archive: Buffer
  readonly end: Buffer
}

/** @returns undefined while there is no end frame */
const unframe = (wire: Buffer): Unframed | undefined => {
  const reader = new FrameReader()
  const archive: Buffer[] = []
  let end: Buffer | undefined
  for (const event of reader.push(wire)) {
    if (event.type === 'data') archive.push(event.bytes)
    else if (event.type === 'progress') readProgress(event.block)
    else end = event.block
  }
  return end === undefined ? undefined : { archive: Buffer.concat(archive), end }
}

const proveArchive = (archive: readonly Buffer[]): void => {
  const proof = new ArchiveProof()
  for (const bytes of archive) proof.push(bytes)
  proof.finish()
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

interface Heard {
  readonly answer: Buffer
  readonly stream: Buffer
  readonly ended: Conversation['ended']
}

/** Says what the client says, and its receipt when the end frame is there; hears all that the agent says. */
const converse = async (stage: Stage, example: ConversationExample): Promise<Heard> => {
  const client = await Conversation.open({ ...stage, ...PATIENCE })
  await client.send(example.client)
  if (example.events.some(({ name }) => name === 'half-close')) client.halfClose()
  let bytes = Buffer.alloc(0)
  let { receipt } = example
  for await (const chunk of client.rest()) {
    bytes = Buffer.concat([bytes, chunk])
    stage.answered()
    const framed = receipt === undefined ? undefined : unframe(behindAnswer(bytes) ?? Buffer.alloc(0))
    if (framed === undefined) continue
    const archive = decompressed(example, framed.archive)
    await client.send(receipt?.(archive.length, digest(archive)) ?? Buffer.alloc(0))
    receipt = undefined
  }
  client.close()
  const hasStream = streamOf(example) !== undefined
  const stream = (hasStream ? behindAnswer(bytes) : undefined) ?? Buffer.alloc(0)
  return { answer: bytes.subarray(0, bytes.length - stream.length), stream, ended: client.ended }
}

/** A verdict is on a backup that was made before, and so is what a monitor sees: the one of the same `sid`. */
const madeBefore = ({ client }: ConversationExample): ConversationExample | undefined => {
  const text = client.toString()
  if (!/^action=(?:verdict|monitor)$/m.test(text)) return undefined
  const sid = /^sid=.*$/m.exec(text)?.[0] ?? ''
  return CONVERSATIONS.find((other) => other.outcome === 'sending' && other.client.includes(`\n${sid}\n`))
}

describe.each<Running>(['in this process', 'as a program'])('an agent %s', (running) => {
  const stages = new Map<SituationName, Stage>()
  beforeAll(async () => {
    for (const situation of new Set(CONVERSATIONS.map(situationOf))) {
      stages.set(situation, await SITUATIONS[situation](running))
    }
  })
  afterAll(async () => {
    for (const stage of stages.values()) await stage.leave()
  })

  test.each(CONVERSATIONS.map((example) => [`line ${example.at}, ${example.outcome}`, example] as const))(
    'has the conversation of PROTOCOL.md, %s',
    async (_, example) => {
      const stage = stages.get(situationOf(example)) as Stage
      const before = madeBefore(example)
      if (before !== undefined) await converse(stage, before)

      const { answer, stream, ended } = await converse(stage, example)

      expect(answer.toString('latin1')).toMatch(example.answer.pattern)
      expect(endsLike(example)).toContain(ended)
      const mime = streamOf(example)
      if (mime === undefined) expect(stream).toHaveLength(0)
      else if (mime === FRAMED_MIME) judgeFrames(example, stream)
      else judgePlain(example, mime, stream)
    },
  )
})

const judgePlain = (example: ConversationExample, mime: string, stream: Buffer): void => {
  const prove = (): void => {
    const decoder = createDecoder(encodingFromMime(mime))
    proveArchive([decompressed(example, Buffer.concat([...decoder.decode(stream), ...decoder.end()]))])
  }
  if (endOf(example) === 'fin') expect(prove).not.toThrow()
  else expect(prove).toThrow(CUT)
}

const judgeFrames = (example: ConversationExample, stream: Buffer): void => {
  const { archive: carried, end } = unframe(stream) ?? { archive: Buffer.alloc(0), end: Buffer.alloc(0) }
  const verdict = readEnd(end)

  expect(end.toString('latin1')).toMatch(example.end?.pattern ?? /^(?!)/)
  expect(stream.toString('latin1', 0, 1)).toBe('P')
  if (verdict.status === 'FAILED') return
  const archive = decompressed(example, carried)
  expect(verdict).toMatchObject({ bytes: archive.length, sha256: digest(archive) })
  expect(() => proveArchive([archive])).not.toThrow()
}

test('PROTOCOL.md has a conversation of every outcome, and one that ends with a reset', () => {
  expect([...new Set(CONVERSATIONS.map(({ outcome }) => outcome))].sort()).toEqual([
    'accepted',
    'answered',
    'failed',
    'ok',
    'sending',
  ])
  expect(CONVERSATIONS.map(endOf)).toContain('reset')
  expect(CONVERSATIONS.filter(({ receipt }) => receipt !== undefined)).not.toEqual([])
  expect(CONVERSATIONS.filter((example) => madeBefore(example)?.receipt !== undefined)).not.toEqual([])
})
