/**
 * Records a session: sends a client's half to an agent and writes down all that it answers.
 *
 * What differs from run to run becomes a placeholder: the id that the agent made up, the
 * versions in its word for success, a password, and whatever the caller says. Of a stream
 * it keeps what must hold of it, not the bytes. Format: `recorded-session.ts`.
 */

import { PRODUCT_VERSION } from '../config/index.ts'
import { DEFAULT_ENCODING, encodingFromMime, type EncodingName } from '../encodings/index.ts'
import { BackupError } from '../errors/index.ts'
import { AnswerReader } from '../protocol/index.ts'
import type { ExpectedStream, PlaceholderName, RecordedSession, SessionStep, WireText } from './recorded-session.ts'
import { ClientHalf, requirePassword } from './recorded-session-client.ts'
import { Conversation } from './recorded-session-conversation.ts'
import { DEFAULT_REPLAY_SILENCE_SECONDS } from './recorded-session-replay.ts'
import { type StreamFacts, StreamInspector } from './recorded-session-stream.ts'

export interface RecordOptions {
  readonly host: string
  readonly port: number
  /** Stands for `{password}`, and is written as that wherever the agent says it. */
  readonly password?: string | undefined
  /** Texts of this machine alone (a path, a name): written as `{text}`. */
  readonly hide?: readonly string[] | undefined
  /** Keep the digest of the archive: for those that are the same on every machine. */
  readonly digest?: boolean | undefined
  /** The command that records, for the header. */
  readonly command?: string | undefined
  readonly connectSeconds?: number | undefined
  readonly silenceSeconds?: number | undefined
  readonly signal?: AbortSignal | undefined
}

const DEFAULT_CONNECT_SECONDS = 10
/** With more members than this, only their number is kept: a list that nobody reads is noise in a diff. */
const MAX_LISTED_MEMBERS = 40
/** Comments of an earlier recording begin so; they are replaced. */
const HEADER_WORDS = /^(?:recorded by|answered by) /

type Loose = { [Key in SessionStep['kind']]: Omit<Extract<SessionStep, { kind: Key }>, 'line'> }[SessionStep['kind']]

/**
 * @param request the client's half: comments and `>` lines; lines of an agent are passed over, so that a
 *   session can be recorded anew from itself
 * @throws BackupError `CLIENT_CONNECT`, `CLIENT_SILENCE`, `SESSION_FILE_INVALID`, `ENCODING_*` or `ARCHIVE_*`
 *   when the stream is neither whole nor properly cut
 */
export const recordSession = async (request: RecordedSession, options: RecordOptions): Promise<RecordedSession> => {
  const { host, port, password, command } = options
  const signal = options.signal ?? new AbortController().signal
  const asked = request.steps.filter((step) => CLIENT_HALF.has(step.kind)).filter((step) => !isOldHeader(step))
  if (asked.every((step) => step.kind === 'comment')) {
    throw new BackupError('SESSION_FILE_INVALID', `${request.file ?? 'the session'} has no line of a client`)
  }
  requirePassword(asked, password)
  const conversation = await Conversation.open({
    host,
    port,
    connectMs: (options.connectSeconds ?? DEFAULT_CONNECT_SECONDS) * 1000,
    silenceMs: (options.silenceSeconds ?? DEFAULT_REPLAY_SILENCE_SECONDS) * 1000,
    signal,
  })
  try {
    const client = new ClientHalf(conversation, 'recorded', password, signal)
    for (const step of asked) await client.play(step)
    await client.flush()
    const answer = await readAnswer(conversation, askedPairs(asked), options)
    const header: Loose[] = [
      {
        kind: 'comment',
        text: `recorded by backup-client ${PRODUCT_VERSION}${command === undefined ? '' : `: ${command}`}`,
      },
      ...(answer.mark === undefined ? [] : [{ kind: 'comment' as const, text: `answered by ${answer.mark}` }]),
    ]
    const talkAt = asked.findIndex((step) => step.kind !== 'comment')
    const steps = [...asked.slice(0, talkAt), ...header, ...asked.slice(talkAt), ...answer.steps]
    return { steps: steps.map((step, index) => ({ ...step, line: index + 2 })) }
  } finally {
    conversation.close()
  }
}

const CLIENT_HALF: ReadonlySet<string> = new Set(['comment', 'send', 'cut', 'pause', 'half-close'])

const isOldHeader = (step: SessionStep): boolean => step.kind === 'comment' && HEADER_WORDS.test(step.text)

const readAnswer = async (
  conversation: Conversation,
  asked: ReadonlyMap<string, string>,
  options: RecordOptions,
): Promise<{ steps: Loose[]; mark: string | undefined }> => {
  const lines: Buffer[] = []
  const isStream = await readHead(conversation, lines)
  const isSending = isStream
  const steps: Loose[] = lines.map((line) => ({
    kind: 'answer',
    text: withPlaceholders(line, asked, isSending, options),
  }))
  let mark: string | undefined
  if (isStream) {
    const encoding = askedEncoding(asked)
    const blockBytes = askedBlockBytes(asked, encoding)
    const inspector = new StreamInspector(encoding, blockBytes)
    for await (const chunk of conversation.rest()) inspector.push(chunk)
    const facts = inspector.finish()
    if (facts.mark !== undefined) {
      mark = `${facts.mark.product}, engine ${facts.mark.engine} ${facts.mark.engineVersion}`
    }
    steps.push({ kind: 'stream', expected: expectedOf(facts, encoding, blockBytes, options.digest === true) })
  } else {
    for (let line = await conversation.line(); line !== undefined; line = await conversation.line()) {
      steps.push({ kind: 'answer', text: withPlaceholders(line, asked, false, options) })
    }
  }
  steps.push({ kind: 'end', how: conversation.ended === 'reset' ? 'reset' : 'fin' })
  return { steps, mark }
}

/** Reads lines as long as they make up the agent's answer. @returns whether a stream follows */
const readHead = async (conversation: Conversation, lines: Buffer[]): Promise<boolean> => {
  const reader = new AnswerReader()
  for (;;) {
    const line = await conversation.line()
    if (line === undefined) return false
    lines.push(line)
    try {
      const answer = reader.push(line)
      if (answer !== undefined) return answer.ready && answer.block.get('status') === 'SENDING'
    } catch (error) {
      if (error instanceof BackupError) return false // whatever it says, it is written down as it stands
      throw error
    }
  }
}

/** The pairs of the request, read leniently: an agent's refusal of a bad one is worth a recording too. */
const askedPairs = (steps: readonly SessionStep[]): ReadonlyMap<string, string> => {
  const text = steps
    .flatMap((step) => (step.kind === 'send' ? step.text : []))
    .map((part) => (Buffer.isBuffer(part) ? part.toString('latin1') : ''))
    .join('')
  const pairs = new Map<string, string>()
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=')
    if (equals > 0) pairs.set(line.slice(0, equals), line.slice(equals + 1))
  }
  return pairs
}

const askedEncoding = (asked: ReadonlyMap<string, string>): EncodingName => {
  const mime = asked.get('agent-stream-encoding') ?? ''
  return mime === '' ? DEFAULT_ENCODING : encodingFromMime(mime)
}

const askedBlockBytes = (asked: ReadonlyMap<string, string>, encoding: EncodingName): number | undefined => {
  const text = asked.get('agent-stream-block-size') ?? ''
  return encoding === 'uuencode' && /^\d{1,9}$/.test(text) ? Number(text) : undefined
}

const expectedOf = (
  facts: StreamFacts,
  encoding: EncodingName,
  blockBytes: number | undefined,
  digest: boolean,
): ExpectedStream => {
  // How far a stream came before it was cut is chance; that it was cut is not.
  if (facts.archive === 'cut') return { encoding, blockBytes, archive: 'cut', memberList: [] }
  const { members, bytes, sha256, mark } = facts
  return {
    encoding,
    blockBytes,
    archive: 'whole',
    engine: mark?.engine,
    members: members.length,
    bytes,
    sha256: digest ? sha256 : undefined,
    memberList: members.length > MAX_LISTED_MEMBERS ? [] : members.map(listed),
  }
}

const listed = ({ type, path, sizeBytes }: StreamFacts['members'][number]): ExpectedStream['memberList'][number] =>
  type === 'directory' ? { line: 0, type, path } : { line: 0, type: 'file', path, sizeBytes }

/** Puts placeholders where another run would say something else. */
const withPlaceholders = (
  line: Buffer,
  asked: ReadonlyMap<string, string>,
  isSending: boolean,
  { password, hide = [] }: RecordOptions,
): WireText => {
  let text: WireText = [line]
  for (const secret of [password ?? ''].filter((value) => value !== ''))
    text = replaced(text, literal(secret), 'password')
  for (const own of hide.filter((value) => value !== '')) text = replaced(text, literal(own), 'text')
  if ((asked.get('sid') ?? '') === '') text = replaced(text, /(?<=^sid=)[^\n]+/g, 'sid')
  if (isSending) text = replaced(text, /\d+\.\d+\.\d+[-+~.\w]*/g, 'version')
  return text
}

const literal = (value: string): RegExp =>
  new RegExp(
    Buffer.from(value)
      .toString('latin1')
      .replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'),
    'g',
  )

const replaced = (text: WireText, pattern: RegExp, placeholder: PlaceholderName): WireText =>
  text.flatMap((part) => {
    if (!Buffer.isBuffer(part)) return [part]
    const parts: (Buffer | { placeholder: PlaceholderName })[] = []
    const source = part.toString('latin1')
    let at = 0
    for (const match of source.matchAll(pattern)) {
      if (match.index > at) parts.push(Buffer.from(source.slice(at, match.index), 'latin1'))
      parts.push({ placeholder })
      at = match.index + match[0].length
    }
    if (at < source.length) parts.push(Buffer.from(source.slice(at), 'latin1'))
    return parts
  })
