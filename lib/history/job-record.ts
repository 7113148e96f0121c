/**
 * What the history remembers of a job, and the forms its fields must have.
 *
 * A line may have been written by a later version, or by hand: every field is looked at
 * before it is believed, by name, into a new object. Pure.
 */

import type { ProcessIdentity } from './process-identity.ts'

/**
 * How a job can end. Every job ends in exactly one of them.
 *
 * | outcome            | what is true                                                        |
 * |--------------------|---------------------------------------------------------------------|
 * | `delivered`        | complete, and the client said so: it counted and hashed every byte   |
 * | `sent-unconfirmed` | complete, every byte was sent, nobody said that they arrived         |
 * | `failed`           | there is no backup; `code` says why                                  |
 * | `cancelled`        | there is no backup, because somebody wanted it so                    |
 * | `interrupted`      | the agent's process was gone before it could say how the job ended   |
 */
export const OUTCOMES = ['delivered', 'sent-unconfirmed', 'failed', 'cancelled', 'interrupted'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** Where the backup stands in the server's binary log, as far as the engine said. */
export interface RecordedCoordinates {
  readonly binlogFile?: string | undefined
  readonly binlogPosition?: number | undefined
  readonly gtid?: string | undefined
}

/** The redo log's numbers as text: they outgrow what a number holds exactly. */
export interface RecordedLsn {
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly last?: string | undefined
  /** The base of the next incremental backup. */
  readonly checkpoint?: string | undefined
}

/** Tablespaces that came out shorter than announced and were filled up with zeros, and by how much in all. */
export interface RecordedPadding {
  readonly files: number
  readonly bytes: number
}

/** What was asked for: encoding, format, … Never a secret: names that look like one are refused. */
export type Requested = Readonly<Record<string, string | number | boolean>>

/** Which server it was, as names that are compared and mean nothing else. */
export interface RecordedServer {
  /** What the server calls itself. */
  readonly uuid?: string | undefined
  /** Which data directory it had: another one at the same place has another name. */
  readonly data?: string | undefined
}

/** Who asked for it, where the agent asks who asks. Names alone: nothing here lets anybody in. */
export interface RecordedCaller {
  readonly role: string
  /** By which of the two it had the role; neither: by its address. */
  readonly tokenName?: string | undefined
  readonly certificateName?: string | undefined
}

/** What is known of a job before its engine starts. */
export interface JobBeginning {
  /** Random, unlike `sid`, which a client may choose and choose again. */
  readonly job: string
  readonly sid: string
  /** `192.0.2.7:51234`, or whatever the door calls the other side. */
  readonly peer: string
  readonly engine: string
  readonly engineVersion?: string | undefined
  /** Absent where nobody could tell, and in lines of earlier versions. */
  readonly server?: RecordedServer | undefined
  /** Which of the agent's servers, where it has several. */
  readonly instance?: string | undefined
  /** Absent where everybody may ask, and in lines of earlier versions. */
  readonly caller?: RecordedCaller | undefined
  readonly requested: Requested
}

/** How a job ended. What is not known is left out. */
export interface JobEnd {
  readonly outcome: Outcome
  /** Error code, when there is no backup. Source: the catalogue in `errors`. */
  readonly code?: string | undefined
  /** Why there is no backup, or why it is not confirmed: one sentence for people, without secrets; remembered up to `MAX_MESSAGE_BYTES`. */
  readonly msg?: string | undefined
  /** Bytes of the archive, before encoding. */
  readonly bytes?: number | undefined
  readonly members?: number | undefined
  /** Of the archive, 64 hex digits. */
  readonly sha256?: string | undefined
  readonly coordinates?: RecordedCoordinates | undefined
  readonly lsn?: RecordedLsn | undefined
  readonly padded?: RecordedPadding | undefined
  /** By a monotonic clock: the two wall clock labels are not to be subtracted. */
  readonly seconds?: number | undefined
}

interface JobFacts extends JobBeginning {
  /** Wall clock label, ISO 8601 in UTC. */
  readonly startedAt: string
  /** Who ran it. */
  readonly process: ProcessIdentity
}

export interface RunningJobRecord extends JobFacts {
  readonly state: 'running'
}

export interface EndedJobRecord extends JobFacts, Omit<JobEnd, 'outcome'> {
  readonly state: Outcome
  readonly endedAt: string
}

export type JobRecord = RunningJobRecord | EndedJobRecord

type Fields = Readonly<Record<string, unknown>>

/** As long as the protocol lets an agent say it. Source: PROTOCOL.md, "Limits", `maxMessageBytes`. */
export const MAX_MESSAGE_BYTES = 2048

/** @returns the message, or its beginning up to a whole character, with an ellipsis */
export const cutMessage = (msg: string): string => {
  const bytes = Buffer.from(msg)
  if (bytes.length <= MAX_MESSAGE_BYTES) return msg
  let end = MAX_MESSAGE_BYTES - Buffer.byteLength('…')
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return `${bytes.toString('utf8', 0, end)}…`
}

/** What a line's `requested` may be called; `__proto__` and its like are not among it. */
const REQUESTED_NAME = /^[A-Za-z][A-Za-z0-9._-]{0,63}$/
const SECRET_NAME = /pass|secret|token|credential/i

/** @returns true for a name under which something requested may be remembered */
export const isRequestedName = (name: string): boolean =>
  REQUESTED_NAME.test(name) && !SECRET_NAME.test(name) && !(name in Object.prototype)

/** @returns what a `started` line says, or undefined when a field is missing or has another form */
export const readRunning = (fields: Fields): RunningJobRecord | undefined => {
  const facts = readFacts(fields)
  return facts === undefined ? undefined : { ...facts, state: 'running' }
}

/** @returns what an `ended` line says, or undefined when a field is missing or has another form */
export const readEnded = (fields: Fields): EndedJobRecord | undefined => {
  const facts = readFacts(fields)
  const state = OUTCOMES.find((outcome) => outcome === fields['outcome'])
  const endedAt = instant(fields['endedAt'])
  if (facts === undefined || state === undefined || endedAt === undefined) return undefined
  const { code, msg, sha256, bytes, members, padded, seconds } = fields
  const optional = {
    ...optionally('code', code, text),
    ...optionally('msg', msg, message),
    ...optionally('bytes', bytes, count),
    ...optionally('members', members, count),
    ...optionally('sha256', sha256, digest),
    ...optionally(
      'coordinates',
      fields['coordinates'],
      shaped({ binlogFile: text, binlogPosition: count, gtid: text }),
    ),
    ...optionally('lsn', fields['lsn'], shaped({ from: text, to: text, last: text, checkpoint: text })),
    ...optionally('padded', padded, padding),
    ...optionally('seconds', seconds, duration),
  }
  // A field that is there and is not what it must be makes the whole line doubtful.
  if (Object.values(optional).includes(undefined)) return undefined
  return { ...facts, state, endedAt, ...(optional as Omit<JobEnd, 'outcome'>) }
}

const readFacts = (fields: Fields): JobFacts | undefined => {
  const job = text(fields['job'])
  const sid = text(fields['sid'])
  const peer = text(fields['peer'])
  const engine = text(fields['engine'])
  const startedAt = instant(fields['startedAt'])
  const process = identity(fields['process'])
  const requested = readRequested(fields['requested'])
  const optional = {
    ...optionally('engineVersion', fields['engineVersion'], text),
    ...optionally('server', fields['server'], shaped({ uuid: text, data: text })),
    ...optionally('instance', fields['instance'], text),
    ...optionally('caller', fields['caller'], callerOf),
  }
  if (job === undefined || sid === undefined || peer === undefined || engine === undefined) return undefined
  if (startedAt === undefined || process === undefined || requested === undefined) return undefined
  if (Object.values(optional).includes(undefined)) return undefined
  return { job, sid, startedAt, peer, engine, ...(optional as JobServer), requested, process }
}

type JobServer = Pick<JobBeginning, 'engineVersion' | 'instance' | 'server' | 'caller'>

const callerOf = (value: unknown): RecordedCaller | undefined => {
  const caller = shaped({ role: text, tokenName: text, certificateName: text })(value)
  return typeof caller?.['role'] === 'string' ? (caller as unknown as RecordedCaller) : undefined
}

const readRequested = (value: unknown): Requested | undefined => {
  if (!isObject(value)) return undefined
  return Object.fromEntries(
    Object.entries(value).filter(
      (entry): entry is [string, string | number | boolean] =>
        isRequestedName(entry[0]) && ['string', 'number', 'boolean'].includes(typeof entry[1]),
    ),
  )
}

const identity = (value: unknown): ProcessIdentity | undefined => {
  if (!isObject(value)) return undefined
  const pid = count(value['pid'])
  const { startTicks, bootId } = value
  if (pid === undefined || typeof startTicks !== 'string' || typeof bootId !== 'string') return undefined
  return { pid, startTicks, bootId }
}

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

const message = (value: unknown): string | undefined => (typeof value === 'string' ? cutMessage(value) : undefined)

const count = (value: unknown): number | undefined =>
  Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : undefined

const padding = (value: unknown): RecordedPadding | undefined => {
  if (!isObject(value)) return undefined
  const [files, bytes] = [count(value['files']), count(value['bytes'])]
  return files === undefined || bytes === undefined ? undefined : { files, bytes }
}

const duration = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined

const digest = (value: unknown): string | undefined =>
  typeof value === 'string' && /^[0-9a-f]{64}$/.test(value) ? value : undefined

const instant = (value: unknown): string | undefined =>
  typeof value === 'string' && /^[+-]?\d{4,6}-\d\d-\d\dT[\d:.]+Z$/.test(value) && !Number.isNaN(Date.parse(value))
    ? value
    : undefined

/** An object of which only the named fields are taken, each of which may be absent. */
const shaped =
  (shape: Readonly<Record<string, (value: unknown) => unknown>>) =>
  (value: unknown): Fields | undefined => {
    if (!isObject(value)) return undefined
    const found = Object.entries(shape)
      .filter(([name]) => Object.hasOwn(value, name) && value[name] !== undefined)
      .map(([name, read]) => [name, read(value[name])] as const)
    return found.some(([, item]) => item === undefined) ? undefined : Object.fromEntries(found)
  }

/** Nothing when the field is absent; else the field, undefined when it has the wrong form. */
const optionally = <Value>(
  name: string,
  value: unknown,
  read: (value: unknown) => Value | undefined,
): Readonly<Record<string, Value | undefined>> => (value === undefined ? {} : { [name]: read(value) })
