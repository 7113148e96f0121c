/**
 * What an agent says before anything else: `READY` and blocks, or a block that refuses.
 *
 * Reads through a link and sends nothing. Rules: PROTOCOL.md, "Answers".
 */

import { BackupError, type Facts } from '../errors/index.ts'
import { type Answer, AnswerReader, type KvBlock, KvBlockParser } from '../protocol/index.ts'
import type { AgentLink } from './request-link.ts'

/**
 * @throws BackupError `CLIENT_UNANSWERED` when the connection is reset before the answer is there; `PROTOCOL_ANSWER_INVALID`,
 *   `PROTOCOL_TRUNCATED`; what `AgentLink.next` throws
 */
export const readAnswer = async (link: AgentLink): Promise<Answer> => {
  const reader = new AnswerReader()
  let ended: (() => void) | undefined
  try {
    for (;;) {
      const chunk = await link.next()
      if (chunk === undefined) {
        reader.end()
        throw new Error('bug: an AnswerReader without an answer lets the end pass')
      }
      ended ??= link.endsInTime('its answer')
      const answer = reader.push(chunk)
      if (answer !== undefined) return answer
    }
  } catch (error) {
    throw error instanceof BackupError && error.code === 'CLIENT_CUT' ? unanswered(link.where, error) : error
  } finally {
    ended?.()
  }
}

const unanswered = (where: string, cause: BackupError): BackupError =>
  new BackupError('CLIENT_UNANSWERED', `${where} broke the connection off before it had answered`, cause.facts, {
    cause,
    hint: 'an agent drops connections when too many wait at its port, or after wrong logins from here: ask again later',
  })

/**
 * One more block behind an answer.
 *
 * @param first bytes behind the last block
 * @returns undefined when the agent has closed its half instead
 * @throws BackupError `PROTOCOL_*` for a broken block; what `AgentLink.next` throws
 */
export const readBlock = async (
  link: AgentLink,
  first: Buffer,
): Promise<{ readonly block: KvBlock; readonly rest: Buffer } | undefined> => {
  const parser = new KvBlockParser()
  let ended: (() => void) | undefined
  try {
    for (let chunk: Buffer | undefined = first; chunk !== undefined; chunk = await link.next()) {
      const parsed = parser.push(chunk)
      if (parsed !== undefined) return parsed
      if (parser.started) ended ??= link.endsInTime('a block')
    }
    parser.end()
    return undefined
  } finally {
    ended?.()
  }
}

/** Deployed agents and ours begin their refusal of a newer client with these words. Source: PROTOCOL.md, "Versions". */
const OLDER_AGENT = 'Incompatible client version'

/** Whether the agent does not speak our version of the protocol, and may speak an older one. */
export const isOlderAgent = ({ ready, block }: Answer): boolean =>
  !ready && block.get('status') === 'FAILED' && (block.get('msg') ?? '').startsWith(OLDER_AGENT)

/** The agent's no, with its own words. */
export const refusal = (block: KvBlock): BackupError =>
  new BackupError('CLIENT_REFUSED', `the agent refused: ${block.get('msg') ?? 'no reason given'}`, {
    status: block.get('status') ?? '',
    agentCode: block.get('code') ?? null,
  })

/** The agent's word that there is no backup, with the reason it gives. */
export const backupFailed = (msg: string | undefined, facts: Facts): BackupError =>
  new BackupError('CLIENT_BACKUP_FAILED', `the backup failed on the database host: ${msg || 'no reason given'}`, facts)
