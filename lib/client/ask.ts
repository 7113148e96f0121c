/**
 * Questions to an agent, and one order: is it there, what does it do, how did a backup end, stop it.
 *
 *     request ─▶ READY, block, block, … FIN
 *            └─▶ a block in place of READY: no, and why
 *
 * Each is a connection of its own. Only agents of protocol 0.77 know them.
 * Rules: PROTOCOL.md, "Other actions".
 */

import { setTimeout as delay } from 'node:timers/promises'

import { BackupError } from '../errors/index.ts'
import { AGENT_PROTOCOL_VERSION, type KvBlock, writeRequest } from '../protocol/index.ts'
import { isOlderAgent, readAnswer, readBlock, refusal } from './agent-answer.ts'
import {
  type AgentIdentity,
  type AgentStatus,
  type BackupVerdict,
  readCancelled,
  readIdentity,
  readJob,
  readStatusHead,
  readVerdict,
} from './ask-blocks.ts'
import { interrupted } from './request.ts'
import { AgentLink } from './request-link.ts'
import type { TlsOptions } from './request-secure.ts'
import { checkToken, type TokenOptions, tokenPairs } from './token-pairs.ts'

export interface AskOptions extends TokenOptions {
  readonly host: string
  readonly port: number
  /** Ask over TLS, and never in clear. `{}`: who is trusted by this system, and the name of the host. */
  readonly tls?: TlsOptions | undefined
  readonly connectSeconds?: number | undefined
  /** How long the agent may be silent. */
  readonly silenceSeconds?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** Machines on a database's network answer at once or not at all. */
const DEFAULT_CONNECT_SECONDS = 10
/** Cancelling waits until the backup program is gone, and it is given some time to go. */
const DEFAULT_SILENCE_SECONDS = 60

/** More than an agent ever runs. */
const MAX_JOBS = 256

/** How often somebody who waits for a verdict asks again. */
const ASK_AGAIN_MS = 1000

export interface Ping extends AgentIdentity {
  /** From the question to the whole answer; connecting is not counted. */
  readonly roundTripMs: number
}

/**
 * Is an agent there?
 *
 * Everybody may: a token is not needed, and not sent.
 *
 * @throws BackupError `CLIENT_CONNECT`, `CLIENT_SILENCE`, `CLIENT_REFUSED` when it is older than protocol 0.77
 * @example
 *   import { pingAgent } from 'kv-backup-agent'
 *
 *   const { agent, roundTripMs } = await pingAgent({ host: '127.0.0.1', port: Number(process.env.AGENT_PORT) })
 *   console.log(`${agent} answers within ${roundTripMs} ms`)
 */
export const pingAgent = async (options: AskOptions): Promise<Ping> => {
  const { first, milliseconds } = await ask({ ...options, token: undefined }, [['action', 'ping']])
  return { ...readIdentity(first), roundTripMs: Math.round(milliseconds * 10) / 10 }
}

/**
 * What an agent is, and what it does now.
 *
 * @throws BackupError `CLIENT_CONNECT`, `CLIENT_SILENCE`, `CLIENT_REFUSED`, `PROTOCOL_*`
 * @example
 *   import { agentStatus } from 'kv-backup-agent'
 *
 *   const { engine, jobs } = await agentStatus({ host: '127.0.0.1', port: Number(process.env.AGENT_PORT) })
 *   for (const { sid, percent } of jobs) console.log(`${engine}: ${sid} is at ${percent ?? '?'} %`)
 */
export const agentStatus = async (options: AskOptions): Promise<AgentStatus> => {
  const { first, others } = await ask(options, [['action', 'status']], MAX_JOBS)
  const { jobs, ...agent } = readStatusHead(first)
  if (jobs !== others.length) {
    throw new BackupError(
      'PROTOCOL_ANSWER_INVALID',
      `expected ${jobs} jobs, as the agent says, found ${others.length} in its answer`,
    )
  }
  return { ...agent, jobs: others.map(readJob) }
}

/**
 * Stops every running backup of a session, and returns when its programs are gone.
 *
 * @returns how many there were
 * @throws BackupError `JOB_UNKNOWN` when none runs under that name; `CLIENT_*`, `PROTOCOL_*`
 * @example
 *   import { BackupError, cancelBackup } from 'kv-backup-agent'
 *
 *   try {
 *     const cancelled = await cancelBackup('nightly', { host: '127.0.0.1', port: Number(process.env.AGENT_PORT) })
 *     console.log(`${cancelled} stopped, the locks of the server are free`)
 *   } catch (error) {
 *     if (!(error instanceof BackupError && error.code === 'JOB_UNKNOWN')) throw error
 *     console.log('nothing to stop')
 *   }
 */
export const cancelBackup = async (sid: string, options: AskOptions): Promise<number> => {
  const { first } = await ask(options, [
    ['action', 'cancel'],
    ['sid', sid],
  ])
  return readCancelled(first)
}

export interface VerdictOptions extends AskOptions {
  /** Ask again until the backup has ended. */
  readonly wait?: boolean | undefined
  /** Told of every answer that is no verdict yet. */
  onRunning?(verdict: BackupVerdict): void
}

/**
 * How the newest backup of a session has ended, if it has. That it has failed is an answer, and nothing is thrown.
 *
 * @throws BackupError `JOB_UNKNOWN` when there never was one; `CLIENT_*`, `PROTOCOL_*`
 * @example
 *   import { BackupError, backupVerdict } from 'kv-backup-agent'
 *
 *   const agent = { host: '127.0.0.1', port: Number(process.env.AGENT_PORT) }
 *   try {
 *     const { status, outcome, sha256 } = await backupVerdict('nightly', { ...agent, wait: true })
 *     console.log(`${status} (${outcome}) ${sha256 ?? ''}`)
 *   } catch (error) {
 *     if (!(error instanceof BackupError && error.code === 'JOB_UNKNOWN')) throw error
 *     console.log('no backup of that name')
 *   }
 */
export const backupVerdict = async (sid: string, options: VerdictOptions): Promise<BackupVerdict> => {
  const { signal, wait = false, onRunning } = options
  for (;;) {
    const { first } = await ask(options, [
      ['action', 'verdict'],
      ['sid', sid],
    ])
    const verdict = readVerdict(first)
    if (verdict.status !== 'RUNNING' || !wait) return verdict
    onRunning?.(verdict)
    await delay(ASK_AGAIN_MS, undefined, signal === undefined ? {} : { signal }).catch(() => {
      throw interrupted(signal as AbortSignal) // nothing else ends it early
    })
  }
}

/** Asks, and reads every block of the answer. @param maxOthers how many may follow the first */
const ask = async (
  options: AskOptions,
  pairs: readonly (readonly [string, string])[],
  maxOthers = 0,
): Promise<{ readonly first: KvBlock; readonly others: readonly KvBlock[]; readonly milliseconds: number }> => {
  checkToken(options)
  writeRequest(AGENT_PROTOCOL_VERSION, pairs) // what cannot be said is found before anybody is called
  let ended: (() => void) | undefined
  const link = await AgentLink.open({
    ...options,
    connectMs: (options.connectSeconds ?? DEFAULT_CONNECT_SECONDS) * 1000,
    silenceMs: (options.silenceSeconds ?? DEFAULT_SILENCE_SECONDS) * 1000,
    signal: options.signal ?? new AbortController().signal,
  })
  try {
    const asked = writeRequest(AGENT_PROTOCOL_VERSION, [...pairs, ...tokenPairs(link, options)])
    const askedMs = performance.now()
    link.send(asked)
    const answer = await readAnswer(link)
    if (isOlderAgent(answer)) throw tooOld(link.where)
    if (!answer.ready) throw refused(answer.block)
    const others: KvBlock[] = []
    ended = link.endsInTime('its answer')
    for (let next = await readBlock(link, answer.rest); next !== undefined; next = await readBlock(link, next.rest)) {
      others.push(next.block)
      if (others.length > maxOthers) {
        throw new BackupError(
          'PROTOCOL_ANSWER_INVALID',
          `expected at most ${1 + maxOthers} blocks from ${link.where}, found more`,
        )
      }
    }
    return { first: answer.block, others, milliseconds: performance.now() - askedMs }
  } finally {
    ended?.()
    link.close()
  }
}

const tooOld = (where: string): BackupError =>
  new BackupError(
    'CLIENT_REFUSED',
    `the agent at ${where} is older than protocol 0.77 and cannot be asked this`,
    { agentCode: 'PROTOCOL_VERSION_INCOMPATIBLE' },
    { hint: 'update the agent; backups can be fetched from it as it is' },
  )

/** That nothing is known under a name is an answer that callers branch on. */
const refused = (block: KvBlock): BackupError =>
  block.get('code') === 'JOB_UNKNOWN'
    ? new BackupError('JOB_UNKNOWN', block.get('msg') ?? 'the agent knows no backup of that session')
    : refusal(block)
