import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { ArchiveProof } from '../../lib/archive/index.ts'
import { Conversation } from '../../lib/client/recorded-session-conversation.ts'
import { createDecoder, encodingFromMime } from '../../lib/encodings/index.ts'
import { AnswerReader } from '../../lib/protocol/index.ts'
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

/** The document says what goes wrong in words for people; all that can is that the backup program dies. */
const situationOf = (example: ConversationExample): SituationName =>
  endOf(example) === 'reset' ? 'engine-fails-in-the-stream' : 'directory'

const proveArchive = (mime: string, wire: Buffer): void => {
  const decoder = createDecoder(encodingFromMime(mime))
  const proof = new ArchiveProof()
  for (const bytes of [...decoder.decode(wire), ...decoder.end()]) proof.push(bytes)
  proof.finish()
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
      const halfClose = example.events.some(({ name }) => name === 'half-close')
      const stream = example.events.find(({ name }) => name === 'stream')

      const client = await Conversation.open({ ...stage, ...PATIENCE })
      await client.send(example.client)
      if (halfClose) client.halfClose()
      const chunks: Buffer[] = []
      for await (const chunk of client.rest()) {
        chunks.push(chunk)
        stage.answered()
      }
      client.close()

      const bytes = Buffer.concat(chunks)
      const rest = new AnswerReader().push(bytes)?.rest ?? Buffer.alloc(0)
      const answer = bytes.subarray(0, bytes.length - rest.length)
      expect(answer.toString('latin1')).toMatch(example.answerPattern)
      expect(endsLike(example)).toContain(client.ended)
      if (stream === undefined) expect(rest).toHaveLength(0)
      else if (endOf(example) === 'fin') expect(() => proveArchive(stream.note, rest)).not.toThrow()
      else expect(() => proveArchive(stream.note, rest)).toThrow(CUT)
    },
  )
})

test('PROTOCOL.md has a conversation of every outcome, and one that ends with a reset', () => {
  expect([...new Set(CONVERSATIONS.map(({ outcome }) => outcome))].sort()).toEqual(['failed', 'ok', 'sending'])
  expect(CONVERSATIONS.map(endOf)).toContain('reset')
})
