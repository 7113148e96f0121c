/**
 * Reads the blocks with which an agent answers questions.
 *
 * Pure. Keys: PROTOCOL.md, "Other actions".
 */

import { type BackupPosition, type KvBlock, readPosition } from '../protocol/index.ts'
import { choice, count, optionalCount, text } from './answer-fields.ts'

/** Who answers. */
export interface AgentIdentity {
  /** Product and version. */
  readonly agent: string
  /** Version of the protocol that it speaks. */
  readonly protocol: string
}

/** What an agent is, and what it does now. */
export interface AgentStatus extends AgentIdentity {
  readonly engine: string
  readonly engineVersion: string
  readonly uptimeSeconds: number
  /** How its memory of jobs is: `ok`, `degraded`, `off`. */
  readonly history: string | undefined
  /** Names of its servers; none where it has but one. */
  readonly instances: readonly string[] | undefined
  readonly jobs: readonly RunningJob[]
}

export interface RunningJob {
  readonly sid: string
  /** Tells two jobs of one session apart. */
  readonly job: string
  /** Who asked for it. */
  readonly peer: string
  /** Which server; undefined for the one that has no name. */
  readonly instance: string | undefined
  /** `starting`, `streaming`, `settling` or `complete`; `running` in another process of the agent. */
  readonly state: string
  /** The backup program's own word. */
  readonly stage: string
  readonly seconds: number
  /** Bytes of the archive that exist so far, and those that have left; unknown of another process's job, as `files`. */
  readonly bytes: number | undefined
  readonly sent: number | undefined
  readonly files: number | undefined
  readonly percent: number | undefined
  readonly etaSeconds: number | undefined
  /** Bytes that wait on the agent's disk for a slow receiver. */
  readonly spilledBytes: number | undefined
  /** A MIME type. */
  readonly encoding: string
  readonly format: string
  /** `none`, or `zstd:3`; where the agent says. */
  readonly compression: string | undefined
}

/** How a backup has ended, if it has. */
export interface BackupVerdict extends BackupPosition {
  readonly status: 'RUNNING' | 'COMPLETE' | 'FAILED'
  readonly msg: string
  readonly sid: string
  readonly job: string
  /** Which server's; undefined for the one that has no name. */
  readonly instance: string | undefined
  /** `delivered`, `sent-unconfirmed`, `failed`, `cancelled` or `interrupted`; none while it runs. */
  readonly outcome: string | undefined
  /** Where it is known, and while it runs. */
  readonly percent: number | undefined
  readonly etaSeconds: number | undefined
  readonly bytes: number | undefined
  readonly sha256: string | undefined
  readonly entries: number | undefined
  /** Name of the failure. */
  readonly code: string | undefined
  /** ISO 8601. */
  readonly started: string | undefined
  readonly ended: string | undefined
}

/** @throws BackupError `PROTOCOL_ANSWER_INVALID`, as all of these */
export const readIdentity = (block: KvBlock): AgentIdentity => {
  choice(block, 'status', ['OK'])
  return { agent: text(block, 'agent'), protocol: text(block, 'protocol') }
}

/** The first block of a status, and how many follow it. */
export const readStatusHead = (block: KvBlock): Omit<AgentStatus, 'jobs'> & { readonly jobs: number } => ({
  ...readIdentity(block),
  engine: text(block, 'engine'),
  engineVersion: block.get('engine-version') ?? '',
  uptimeSeconds: count(block, 'uptime'),
  history: block.get('history'),
  instances: block.get('instances')?.split(','),
  jobs: count(block, 'jobs'),
})

export const readJob = (block: KvBlock): RunningJob => ({
  sid: text(block, 'sid'),
  job: text(block, 'job'),
  peer: text(block, 'peer'),
  instance: block.get('instance'),
  state: text(block, 'state'),
  stage: text(block, 'stage'),
  seconds: count(block, 'seconds'),
  bytes: optionalCount(block, 'bytes'),
  sent: optionalCount(block, 'sent'),
  files: optionalCount(block, 'files'),
  percent: optionalCount(block, 'percent'),
  etaSeconds: optionalCount(block, 'eta'),
  spilledBytes: optionalCount(block, 'spilled'),
  encoding: text(block, 'encoding'),
  format: text(block, 'format'),
  compression: block.get('compression'),
})

export const readCancelled = (block: KvBlock): number => {
  choice(block, 'status', ['OK'])
  return count(block, 'cancelled')
}

export const readVerdict = (block: KvBlock): BackupVerdict => ({
  status: choice(block, 'status', ['RUNNING', 'COMPLETE', 'FAILED']),
  msg: block.get('msg') ?? '',
  sid: text(block, 'sid'),
  job: text(block, 'job'),
  instance: block.get('instance'),
  outcome: block.get('outcome'),
  percent: optionalCount(block, 'percent'),
  etaSeconds: optionalCount(block, 'eta'),
  bytes: optionalCount(block, 'bytes'),
  sha256: block.get('sha256'),
  entries: optionalCount(block, 'entries'),
  ...readPosition(block),
  code: block.get('code'),
  started: block.get('started'),
  ended: block.get('ended'),
})
