/**
 * Reads what an agent says about the session it has accepted.
 *
 * It must be what was asked for: a stream that is dressed otherwise, or packed, would
 * be taken for something that it is not. Pure. Keys: PROTOCOL.md, "Answers".
 */

import type { KvBlock, SessionFacts } from '../protocol/index.ts'
import { choice, text } from './answer-fields.ts'

/** @throws BackupError `PROTOCOL_ANSWER_INVALID` when a key is missing, or says something else than was asked for */
export const readSessionFacts = (
  block: KvBlock,
  asked: Pick<SessionFacts, 'encoding' | 'format' | 'compression' | 'instance'>,
): SessionFacts => ({
  agent: text(block, 'agent'),
  protocol: text(block, 'protocol'),
  engine: text(block, 'engine'),
  engineVersion: text(block, 'engine-version'),
  format: choice(block, 'format', [asked.format]),
  encoding: choice(block, 'encoding', [asked.encoding]),
  compression: choice(block, 'compression', [asked.compression]),
  // One that says nothing of it has not understood which server was meant.
  ...(asked.instance === undefined ? given(block) : { instance: choice(block, 'instance', [asked.instance]) }),
})

const given = (block: KvBlock): Pick<SessionFacts, 'instance'> => {
  const instance = block.get('instance')
  return instance === undefined ? {} : { instance }
}
