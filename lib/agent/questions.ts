/**
 * What can be asked and ordered about the agent and its jobs: `ping`, `status`, `cancel`, `verdict`.
 *
 * Answers in blocks; starts nothing. From protocol 0.77 on. Keys: PROTOCOL.md, "Other actions".
 */

import { BackupError } from '../errors/index.ts'
import { type BackupJob, isFinal, type JobElsewhere, type RememberedJob } from '../jobs/index.ts'
import {
  AGENT_PROTOCOL_VERSION,
  positionPairs,
  type SidRequest,
  type SimpleRequest,
  writeKvBlock,
  writeReady,
  writeStatus,
} from '../protocol/index.ts'
import { outcomeWords } from './outcome-words.ts'
import { allOf } from './instance.ts'
import { seenBy, type SessionContext } from './session.ts'

/** An answer is `READY` and blocks. @throws BackupError `JOB_UNKNOWN`, `HISTORY_*` */
export const answerQuestion = async (
  request: SimpleRequest | SidRequest,
  context: SessionContext,
  peer: string,
): Promise<Buffer[]> => {
  switch (request.action) {
    case 'ping':
      return pong(context.product)
    case 'status':
      return [writeReady(), ...(await statusBlocks(context))]
    case 'cancel':
      return [writeReady(), await cancel(request.sid, context, peer)]
    case 'verdict':
      return [writeReady(), await verdict(request.sid, context)]
  }
}

/** There is an agent, and this one. */
export const pong = (product: string): Buffer[] => [
  writeReady(),
  writeStatus({ status: 'OK', msg: 'pong' }, identityPairs(product)),
]

const identityPairs = (product: string): [string, string][] => [
  ['agent', product],
  ['protocol', AGENT_PROTOCOL_VERSION],
]

const statusBlocks = async (context: SessionContext): Promise<Buffer[]> => {
  const { instances, memory, nowMs, startedMs, admission, grant } = context
  const names = [...instances.named.keys()].filter(grant.sees).join(',')
  const jobs = ownJobs(context)
  const elsewhere = (await memory.elsewhere()).filter(seenBy(grant))
  const count = jobs.length + elsewhere.length
  const { engine } = allOf(instances).find(({ name }) => grant.sees(name)) ?? context
  const running = count === 0 ? 'idle' : `${count} running`
  const msg = admission.isDraining ? `shutting down, ${running}` : running
  const head = writeStatus({ status: 'OK', msg }, [
    ...identityPairs(context.product),
    ['engine', engine.identity.name],
    ['engine-version', engine.identity.version],
    ['uptime', String(Math.floor((nowMs() - startedMs) / 1000))],
    ['history', memory.state],
    ...optional('instances', names || undefined),
    ['jobs', String(count)],
  ])
  return [head, ...jobs.map(jobBlock), ...elsewhere.map(elsewhereBlock)]
}

/** Jobs of this process that the caller may hear of. */
const ownJobs = ({ jobs, grant }: SessionContext): BackupJob[] =>
  [...jobs].filter(({ order }) => grant.sees(order.instance))

/** What the history knows of a job that another process makes. */
const elsewhereBlock = ({ sid, job, peer, instance, startedAt, requested, process }: JobElsewhere): Buffer =>
  writeKvBlock([
    ['sid', sid],
    ['job', job],
    ['peer', peer],
    ...optional('instance', instance),
    ['state', 'running'],
    ['stage', `in another process, ${process.pid}`],
    // Two wall clock labels: it may have been set in between.
    ['seconds', String(Math.max(0, Math.floor((Date.now() - Date.parse(startedAt)) / 1000)))],
    ['encoding', String(requested['encoding'] ?? '?')],
    ['format', String(requested['format'] ?? '?')],
  ])

const jobBlock = (job: BackupJob): Buffer => {
  const { state, stage, seconds, archiveBytes, sentBytes, members, spilledBytes, percent, etaSeconds } = job.progress()
  const { sid, peer, requested, instance } = job.order
  return writeKvBlock([
    ['sid', sid],
    ['job', job.id],
    ['peer', peer],
    ...optional('instance', instance),
    ['state', state],
    ['stage', stage],
    ['seconds', String(Math.floor(seconds))],
    ['bytes', String(archiveBytes)],
    ['sent', String(sentBytes)],
    ['files', String(members)],
    ...optional('percent', percent),
    ...optional('eta', etaSeconds),
    ['spilled', String(spilledBytes)],
    ['encoding', String(requested['encoding'])],
    ['format', String(requested['format'])],
    ['compression', String(requested['compression'] ?? 'none')],
  ])
}

/** How long another process may take to get rid of its backup: 3 s of grace, and a disk that is slow. */
const ELSEWHERE_MS = 30_000

const cancel = async (sid: string, context: SessionContext, peer: string): Promise<Buffer> => {
  const { memory, grant } = context
  // One whose end is on its way, or that only waits for its client's word, is complete: there is nothing left to stop.
  const wanted = ownJobs(context).filter((job) => job.order.sid === sid && !isFinal(job.state) && !job.isLettingGo)
  const elsewhere = (await memory.elsewhere()).filter((job) => job.sid === sid && grant.sees(job.instance))
  const count = wanted.length + elsewhere.length
  if (count === 0) throw unknownJob(sid, 'no backup of this session id is running')
  for (const job of wanted) job.cancel(new BackupError('JOB_CANCELLED', `cancelled by ${peer}`))
  const deadline = AbortSignal.timeout(ELSEWHERE_MS)
  await Promise.all([
    ...wanted.map((job) => job.closed),
    ...elsewhere.map((job) => memory.cancelElsewhere(job, peer, deadline)),
  ])
  const msg = 'cancelled: the backup program is gone and the locks of the server are free'
  return writeStatus({ status: 'OK', msg, sid }, [['cancelled', String(count)]])
}

const verdict = async (sid: string, context: SessionContext): Promise<Buffer> => {
  const { memory, grant } = context
  const running = ownJobs(context)
    .filter((job) => job.order.sid === sid)
    .at(-1)
  if (running !== undefined) return runningVerdict(running)
  const job = await memory.newest(sid, seenBy(grant))
  if (job === undefined) throw unknownJob(sid, 'nothing is known of a backup with this session id')
  return rememberedVerdict(job)
}

const runningVerdict = (job: BackupJob): Buffer => {
  const { result } = job
  const { sid, instance } = job.order
  if ((job.state === 'complete' || job.isLettingGo) && result !== undefined) {
    const msg = 'complete; its last bytes are on their way, or its client has not answered yet'
    return writeStatus({ status: 'COMPLETE', msg, sid }, [
      ['job', job.id],
      ...optional('instance', instance),
      ['bytes', String(result.bytes)],
      ['sha256', result.sha256],
      ['entries', String(result.members)],
      ...positionPairs(result),
    ])
  }
  const { percent, etaSeconds, archiveBytes } = job.progress()
  return writeStatus({ status: 'RUNNING', msg: 'the backup is running', sid }, [
    ['job', job.id],
    ...optional('instance', instance),
    ['bytes', String(archiveBytes)],
    ...optional('percent', percent),
    ...optional('eta', etaSeconds),
  ])
}

const rememberedVerdict = (job: RememberedJob): Buffer => {
  const { sid, state, startedAt, endedAt, instance, bytes, members, sha256, code, coordinates = {}, lsn = {} } = job
  const isComplete = state === 'delivered' || state === 'sent-unconfirmed'
  const status = isComplete ? 'COMPLETE' : state === 'running' ? 'RUNNING' : 'FAILED'
  return writeStatus({ status, msg: outcomeWords(job), sid }, [
    ['job', job.job],
    ...(state === 'running' ? [] : ([['outcome', state]] as const)),
    ...optional('code', code),
    ...optional('instance', instance),
    ...optional('bytes', bytes),
    ...optional('sha256', sha256),
    ...optional('entries', members),
    ...positionPairs({ coordinates, lsn }),
    ['started', startedAt],
    ...optional('ended', endedAt),
  ])
}

const optional = (key: string, value: string | number | undefined): [string, string][] =>
  value === undefined ? [] : [[key, String(value)]]

const unknownJob = (sid: string, message: string): BackupError =>
  new BackupError('JOB_UNKNOWN', message, { sid }, { hint: 'backup-client status lists what runs' })
