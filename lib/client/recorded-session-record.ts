/**
 * Records a session: sends a client's half to an agent and writes down all that it answers.
 *
 * What differs from run to run becomes a placeholder: the id that the agent made up, the
 * versions in its word for success, times, a password, and whatever the caller says. Of a
 * stream it keeps what must hold of it, not the bytes. Format: `recorded-session.ts`.
 */

import { PRODUCT_VERSION } from '../config/index.ts'
import { DEFAULT_ENCODING, encodingFromMime, FRAMED_MIME } from '../encodings/index.ts'
import { BackupError } from '../errors/index.ts'
import { AnswerReader, COMPRESS_WORDS_KEY, type KvBlock, KvBlockParser, readCompressWords } from '../protocol/index.ts'
import type {
  ExpectedStream,
  PlaceholderName,
  RecordedSession,
  SessionCompression,
  SessionEncoding,
  SessionStep,
  WireText,
} from './recorded-session.ts'
import { ClientHalf, requireSecrets } from './recorded-session-client.ts'
import { Conversation } from './recorded-session-conversation.ts'
import { DEFAULT_REPLAY_SILENCE_SECONDS } from './recorded-session-replay.ts'
import { type StreamFacts, StreamInspector } from './recorded-session-stream.ts'
import type { TlsOptions } from './request-secure.ts'

export interface RecordOptions {
  readonly host: string
  readonly port: number
  /** Ask over TLS, and never in clear. `{}`: who is trusted by this system, and the name of the host. */
  readonly tls?: TlsOptions | undefined
  /** Stands for `{password}`, and is written as that wherever the agent says it. */
  readonly password?: string | undefined
  /** Stands for `{token}`, likewise. */
  readonly token?: string | undefined
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
  const { host, port, tls, command } = options
  const signal = options.signal ?? new AbortController().signal
  const asked = request.steps.filter((step) => CLIENT_HALF.has(step.kind)).filter((step) => !isOldHeader(step))
  if (asked.every((step) => step.kind === 'comment')) {
    throw new BackupError('SESSION_FILE_INVALID', `${request.file ?? 'the session'} has no line of a client`)
  }
  requireSecrets(asked, options)
  const conversation = await Conversation.open({
    host,
    port,
    tls,
    connectMs: (options.connectSeconds ?? DEFAULT_CONNECT_SECONDS) * 1000,
    silenceMs: (options.silenceSeconds ?? DEFAULT_REPLAY_SILENCE_SECONDS) * 1000,
    signal,
  })
  try {
    const client = new ClientHalf(conversation, 'recorded', options, signal)
    const receiptAt = asked.findIndex(({ kind }) => kind === 'receipt')
    const [talk, receipt] = receiptAt === -1 ? [asked, []] : [asked.slice(0, receiptAt), asked.slice(receiptAt)]
    for (const step of talk) await client.play(step)
    await client.flush()
    const answer = await readAnswer(conversation, askedPairs(talk), options, async (facts, sid) => {
      client.know({ bytes: String(facts.bytes), sha256: facts.sha256, sid })
      for (const step of receipt) await client.play(step)
      await client.flush()
    })
    const header: Loose[] = [
      {
        kind: 'comment',
        text: `recorded by backup-client ${PRODUCT_VERSION}${command === undefined ? '' : `: ${command}`}`,
      },
      ...(answer.mark === undefined ? [] : [{ kind: 'comment' as const, text: `answered by ${answer.mark}` }]),
    ]
    const talkAt = talk.findIndex((step) => step.kind !== 'comment')
    const { end } = answer
    const steps = [...talk.slice(0, talkAt), ...header, ...talk.slice(talkAt), ...answer.steps, ...receipt, end]
    return { steps: steps.map((step, index) => ({ ...step, line: index + 2 })) }
  } finally {
    conversation.close()
  }
}

const CLIENT_HALF: ReadonlySet<string> = new Set(['comment', 'send', 'cut', 'pause', 'half-close', 'receipt'])

const isOldHeader = (step: SessionStep): boolean => step.kind === 'comment' && HEADER_WORDS.test(step.text)

/** @param answerStream says the receipt, when a whole stream in frames has come */
const readAnswer = async (
  conversation: Conversation,
  asked: ReadonlyMap<string, string>,
  options: RecordOptions,
  answerStream: (facts: StreamFacts, sid: string | undefined) => Promise<void>,
): Promise<{ steps: Loose[]; end: Loose; mark: string | undefined }> => {
  const { lines, isReady, sid, isStream } = await readHead(conversation)
  const spelled = (line: Buffer): WireText => withPlaceholders(line, asked, isReady, options)
  let mark: string | undefined
  const steps: Loose[] = []
  if (isStream) {
    const encoding = askedEncoding(asked)
    const blockBytes = askedBlockBytes(asked, encoding)
    const compression = askedCompression(asked)
    const inspector = new StreamInspector(encoding, blockBytes, compression)
    for await (const chunk of conversation.rest()) {
      inspector.push(chunk)
      if (inspector.ended) break // the agent waits for the receipt
    }
    const facts = inspector.finish()
    if (facts.mark !== undefined) {
      mark = `${facts.mark.product}, engine ${facts.mark.engine} ${facts.mark.engineVersion}`
    }
    steps.push({
      kind: 'stream',
      expected: { ...expectedOf(facts, encoding, blockBytes, spelled, options.digest === true), compression },
    })
    await answerStream(facts, sid)
  }
  for (let line = await conversation.line(); line !== undefined; line = await conversation.line()) {
    if (isStream) throw new BackupError('FRAME_CORRUPT', 'expected nothing behind the end frame, found more')
    lines.push(line)
  }
  const answers = lines.map((line) => ({ kind: 'answer' as const, text: spelled(line) }))
  return {
    steps: [...answers, ...steps],
    end: { kind: 'end', how: conversation.ended === 'reset' ? 'reset' : 'fin' },
    mark,
  }
}

/** What comes before a stream, or instead of one as far as it was looked at. */
interface Head {
  readonly lines: Buffer[]
  readonly isReady: boolean
  readonly sid: string | undefined
  readonly isStream: boolean
}

/** Reads lines as long as they make up the agent's answer: up to the block that says whether a stream follows. */
const readHead = async (conversation: Conversation): Promise<Head> => {
  const lines: Buffer[] = []
  let reader: AnswerReader | KvBlockParser = new AnswerReader()
  let isReady = false
  for (;;) {
    const line = await conversation.line()
    if (line === undefined) return { lines, isReady, sid: undefined, isStream: false }
    lines.push(line)
    try {
      const answer: { readonly block: KvBlock } | undefined = reader.push(line)
      if (reader instanceof AnswerReader) isReady = reader.ready
      if (answer === undefined) continue
      const status = answer.block.get('status')
      if (isReady && status === 'ACCEPTED') reader = new KvBlockParser()
      else return { lines, isReady, sid: answer.block.get('sid'), isStream: isReady && status === 'SENDING' }
    } catch (error) {
      // Whatever it says, it is written down as it stands.
      if (error instanceof BackupError) return { lines, isReady, sid: undefined, isStream: false }
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

const askedEncoding = (asked: ReadonlyMap<string, string>): SessionEncoding => {
  const mime = asked.get('agent-stream-encoding') ?? ''
  if (mime.toLowerCase() === FRAMED_MIME) return 'framed'
  return mime === '' ? DEFAULT_ENCODING : encodingFromMime(mime)
}

/** The compressors that a replay cannot undo are not recorded: what came would be taken for a bad archive. */
const askedCompression = (asked: ReadonlyMap<string, string>): SessionCompression | undefined => {
  const [byName, byWords] = [
    asked.get('agent-stream-compress') || undefined,
    asked.get(COMPRESS_WORDS_KEY) || undefined,
  ]
  const name = byName?.split(':')[0] ?? (byWords === undefined ? undefined : readCompressWords(byWords).name)
  return name === 'gzip' || name === 'pigz' ? 'gzip' : undefined
}

const askedBlockBytes = (asked: ReadonlyMap<string, string>, encoding: SessionEncoding): number | undefined => {
  const text = asked.get('agent-stream-block-size') ?? ''
  return encoding === 'uuencode' && /^\d{1,9}$/.test(text) ? Number(text) : undefined
}

const expectedOf = (
  facts: StreamFacts,
  encoding: SessionEncoding,
  blockBytes: number | undefined,
  spelled: (line: Buffer) => WireText,
  digest: boolean,
): ExpectedStream => {
  const { archive, frames, members, bytes, sha256, mark } = facts
  const endLines = facts.endLines.map((line) => ({ line: 0, text: endLine(line, facts) ?? spelled(line) }))
  // How far a stream came before it was cut is chance; that it was cut is not.
  if (archive === 'cut') return { encoding, blockBytes, archive, frames, memberList: [], endLines }
  return {
    encoding,
    blockBytes,
    archive,
    frames,
    engine: mark?.engine,
    members: members.length,
    bytes,
    sha256: digest ? sha256 : undefined,
    memberList: members.length > MAX_LISTED_MEMBERS ? [] : members.map(listed),
    endLines,
  }
}

/** A line of an end frame about the archive: what was counted here. How much of a failed one was made is chance. */
const endLine = (line: Buffer, { archive, bytes, sha256 }: StreamFacts): WireText | undefined => {
  switch (line.toString('latin1')) {
    case `bytes=${bytes}\n`:
      if (archive === 'whole') return between('bytes=', 'bytes')
      break
    case `sha256=${sha256}\n`:
      return between('sha256=', 'sha256')
  }
  return archive === 'cut' && line.toString('latin1').startsWith('bytes=') ? between('bytes=', 'text') : undefined
}

const between = (key: string, placeholder: PlaceholderName): WireText => [
  Buffer.from(key),
  { placeholder },
  Buffer.from('\n'),
]

const listed = ({ type, path, sizeBytes }: StreamFacts['members'][number]): ExpectedStream['memberList'][number] =>
  type === 'directory' ? { line: 0, type, path } : { line: 0, type: 'file', path, sizeBytes }

/** Puts placeholders where another run would say something else. */
const withPlaceholders = (
  line: Buffer,
  asked: ReadonlyMap<string, string>,
  isReady: boolean,
  { password, token, hide = [] }: RecordOptions,
): WireText => {
  let text: WireText = [line]
  for (const [name, secret] of [
    ['password', password ?? ''],
    ['token', token ?? ''],
  ] as const) {
    if (secret !== '') text = replaced(text, literal(secret), name)
  }
  for (const own of hide.filter((value) => value !== '')) text = replaced(text, literal(own), 'text')
  // What is remembered stays as it is; only the number of a process that runs is another each time.
  if (asked.get('action') === 'monitor') return replaced(text, /(?<=^status=)\d+(?=\n)/g, 'text')
  if ((asked.get('sid') ?? '') === '') text = replaced(text, /(?<=^sid=)[^\n]+/g, 'sid')
  if (!isReady) return text
  text = replaced(text, OF_THE_MOMENT, 'text')
  // The version of the protocol is part of it.
  return line.toString('latin1').startsWith('protocol=') ? text : replaced(text, /\d+\.\d+\.\d+[-+~.\w]*/g, 'version')
}

/** Values that are others at every moment, or on every host: of the agent's blocks, not of an end frame. */
const OF_THE_MOMENT =
  /(?<=^(?:uptime|history|job|peer|state|stage|seconds|bytes|sent|files|percent|eta|spilled|started|ended)=)[^\n]+/g

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
