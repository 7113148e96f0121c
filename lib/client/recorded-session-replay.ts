/**
 * Replays a recorded session against an agent and says the first difference.
 *
 *     file ─▶ client's bytes ─▶ agent ─▶ its bytes ─▶ as the file expects, or SESSION_DIFFERS
 *
 * For tests of an agent, this one or another: it needs nothing but an address.
 * Format: `recorded-session.ts`.
 */

import { readFile } from 'node:fs/promises'

import { BackupError } from '../errors/index.ts'
import type { ExpectedStream, RecordedSession, SessionStep } from './recorded-session.ts'
import { ClientHalf, type Pieces, requireSecrets } from './recorded-session-client.ts'
import { Conversation } from './recorded-session-conversation.ts'
import { type Difference, sessionDiffers, show } from './recorded-session-difference.ts'
import { LineMatcher } from './recorded-session-match.ts'
import { parseSession } from './recorded-session-parser.ts'
import { type StreamFacts, StreamInspector } from './recorded-session-stream.ts'
import { type Secrets, spellWireText } from './recorded-session-text.ts'
import type { TlsOptions } from './request-secure.ts'

export interface ReplayOptions {
  readonly host: string
  readonly port: number
  /** Ask over TLS, and never in clear. `{}`: who is trusted by this system, and the name of the host. */
  readonly tls?: TlsOptions | undefined
  /** Stands for `{password}`. */
  readonly password?: string | undefined
  /** Stands for `{token}`. */
  readonly token?: string | undefined
  /** How the client's bytes are cut; `recorded` by default. */
  readonly pieces?: Pieces | undefined
  readonly connectSeconds?: number | undefined
  /** How long the agent may be silent before that is the difference. */
  readonly silenceSeconds?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** Called for every line of the agent that is as recorded: now is the time to make something happen. */
  readonly onAnswer?: ((line: string) => void) | undefined
}

/** What was played and seen, when nothing differed. */
export interface Replay {
  readonly sentBytes: number
  /** Lines of the agent before the stream. */
  readonly answerLines: number
  /** The session's id, where the file has `{sid}`. */
  readonly sid: string | undefined
  readonly stream: StreamFacts | undefined
}

const DEFAULT_CONNECT_SECONDS = 10
/** An agent under test answers at once; the first byte of a real backup of 500 tables took 6 s. */
export const DEFAULT_REPLAY_SILENCE_SECONDS = 30

/** What followed a difference is shown as far as it has arrived. */
const MAX_AFTER_BYTES = 4096

/**
 * @param session a file, or what `parseSession` made of a text
 * @throws BackupError `SESSION_DIFFERS` with the first difference, `SESSION_FILE_INVALID`, `CLI_FILE`, `CLIENT_CONNECT`
 * @example
 *   import { parseSession, replaySession } from 'kv-backup-agent'
 *
 *   const session = parseSession(String.raw`# kv-backup-agent wire session 1
 *   > 0.76.1\n
 *   > 1\n
 *   > action=make coffee\n
 *   > \n
 *   < 3\n
 *   < status=FAILED\n
 *   < msg={text}\n
 *   < code=AGENT_ACTION_UNKNOWN\n
 *   < \n
 *   <fin
 *   `.replaceAll(/^ +/gm, ''))
 *   await replaySession(session, { host: '127.0.0.1', port: Number(process.env['AGENT_PORT'] ?? 25300) })
 *   console.log('answered as recorded')
 */
export const replaySession = async (
  session: string | URL | RecordedSession,
  options: ReplayOptions,
): Promise<Replay> => {
  const recorded = typeof session === 'string' || session instanceof URL ? await readSession(session) : session
  const { host, port, tls, pieces = 'recorded' } = options
  const signal = options.signal ?? new AbortController().signal
  requireSecrets(recorded.steps, options)
  const conversation = await Conversation.open({
    host,
    port,
    tls,
    connectMs: (options.connectSeconds ?? DEFAULT_CONNECT_SECONDS) * 1000,
    silenceMs: (options.silenceSeconds ?? DEFAULT_REPLAY_SILENCE_SECONDS) * 1000,
    signal,
  })
  try {
    const client = new ClientHalf(conversation, pieces, options, signal)
    return await new Replaying(recorded, conversation, client, options).run()
  } finally {
    conversation.close()
  }
}

/** @throws BackupError `CLI_FILE`, `SESSION_FILE_INVALID` */
export const readSession = async (file: string | URL, parse = parseSession): Promise<RecordedSession> => {
  const name = file instanceof URL ? file.pathname : file
  const text = await readFile(file, 'latin1').catch((cause: NodeJS.ErrnoException) => {
    throw new BackupError('CLI_FILE', `cannot read the session ${name}: ${cause.code ?? cause.message}`, {}, { cause })
  })
  return parse(text, name.slice(name.lastIndexOf('/') + 1))
}

class Replaying {
  readonly #session: RecordedSession
  readonly #conversation: Conversation
  readonly #client: ClientHalf
  readonly #secrets: Secrets
  readonly #onAnswer: ReplayOptions['onAnswer']
  readonly #matcher: LineMatcher
  #answerLines = 0
  #stream: StreamFacts | undefined

  constructor(
    session: RecordedSession,
    conversation: Conversation,
    client: ClientHalf,
    { password, token, onAnswer }: ReplayOptions,
  ) {
    this.#session = session
    this.#conversation = conversation
    this.#client = client
    this.#secrets = { password, token }
    this.#onAnswer = onAnswer
    this.#matcher = new LineMatcher(this.#secrets)
  }

  async run(): Promise<Replay> {
    for (const step of this.#session.steps) await this.#take(step)
    return {
      sentBytes: this.#client.sentBytes,
      answerLines: this.#answerLines,
      sid: this.#matcher.sid,
      stream: this.#stream,
    }
  }

  async #take(step: SessionStep): Promise<void> {
    switch (step.kind) {
      case 'comment':
        return
      case 'send':
      case 'cut':
      case 'pause':
      case 'half-close':
      case 'receipt': // it stands behind the stream, and that was read
        return this.#client.play(step)
      case 'answer':
        await this.#client.flush()
        return this.#expectLine(step)
      case 'stream':
        await this.#client.flush()
        return this.#expectStream(step)
      case 'end':
        await this.#client.flush()
        return this.#expectEnd(step)
    }
  }

  async #expectLine(step: Extract<SessionStep, { kind: 'answer' }>): Promise<void> {
    const expected = `"${spellWireText(step.text)}"`
    const found = await this.#conversation.line().catch((error: unknown) => this.#silent(step.line, expected, error))
    if (found === undefined) this.#differs({ line: step.line, expected, found: this.#endWord() })
    if (!this.#matcher.matches(step.text, found)) {
      this.#differs({ line: step.line, expected, found: show(found), after: this.#conversation.peek(MAX_AFTER_BYTES) })
    }
    this.#answerLines += 1
    this.#onAnswer?.(found.toString('latin1'))
  }

  async #expectStream({ line, expected }: Extract<SessionStep, { kind: 'stream' }>): Promise<void> {
    const inspector = new StreamInspector(expected.encoding, expected.blockBytes, expected.compression)
    const wanted = `a stream encoded as ${expected.encoding} with ${AN_ARCHIVE[expected.archive]}`
    try {
      for await (const chunk of this.#conversation.rest()) {
        inspector.push(chunk)
        if (inspector.ended) break // the agent waits for the receipt
      }
      this.#stream = inspector.finish()
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      if (!isVerdictOnStream(error)) return this.#silent(line, wanted, error)
      this.#differs({ line, expected: wanted, found: error.message, cause: error })
    }
    for (const difference of streamDifferences(line, expected, this.#stream)) this.#differs(difference)
    this.#expectEndLines(line, expected, this.#stream)
  }

  /** The block in the end frame, and what it says about the archive that came. */
  #expectEndLines(line: number, { endLines }: ExpectedStream, facts: StreamFacts): void {
    const counted = { bytes: String(facts.bytes), sha256: facts.sha256 }
    this.#matcher.know(counted)
    this.#client.know({ ...counted, sid: this.#matcher.sid })
    if (endLines.length === 0) return
    for (const [index, want] of endLines.entries()) {
      const expected = `"${spellWireText(want.text)}" in the end frame`
      const found = facts.endLines[index]
      if (found === undefined) this.#differs({ line: want.line, expected, found: 'no more lines' })
      if (!this.#matcher.matches(want.text, found)) {
        this.#differs({
          line: want.line,
          expected,
          found: show(found),
          after: Buffer.concat(facts.endLines.slice(index + 1)),
        })
      }
    }
    const extra = facts.endLines[endLines.length]
    if (extra === undefined) return
    this.#differs({ line, expected: `${endLines.length} lines in the end frame`, found: `one more, ${show(extra)}` })
  }

  async #expectEnd({ line, how }: Extract<SessionStep, { kind: 'end' }>): Promise<void> {
    const expected = `<${how}`
    const found = await this.#conversation.line().catch((error: unknown) => this.#silent(line, expected, error))
    if (found !== undefined) {
      this.#differs({ line, expected, found: show(found), after: this.#conversation.peek(MAX_AFTER_BYTES) })
    }
    const { ended } = this.#conversation
    if (ended !== how && ended !== 'fin or reset') this.#differs({ line, expected, found: this.#endWord() })
  }

  #endWord(): string {
    return this.#conversation.ended === 'reset' ? '<reset' : '<fin'
  }

  /** A silent agent is a difference; an interrupted replay is none. */
  #silent(line: number, expected: string, error: unknown): never {
    if (error instanceof BackupError && error.code === 'CLIENT_SILENCE') {
      this.#differs({ line, expected, found: `nothing: ${error.message}`, cause: error })
    }
    throw error
  }

  #differs(difference: Difference): never {
    throw sessionDiffers(this.#session, difference, this.#secrets)
  }
}

const AN_ARCHIVE = { whole: 'a whole archive', cut: 'an archive that is cut and shows it' } as const

const isVerdictOnStream = ({ code }: BackupError): boolean =>
  /^(?:ENCODING|FRAME|ARCHIVE|PROTOCOL|COMPRESS)_/.test(code)

/** Everything the file says about a stream and that does not hold, the most telling first. */
export function* streamDifferences(line: number, expected: ExpectedStream, facts: StreamFacts): Generator<Difference> {
  const words: [name: string, expected: string | number | undefined, found: string | number | undefined][] = [
    ['archive', expected.archive, facts.archive],
    ['frames', expected.frames, facts.frames],
    ['engine', expected.engine, facts.mark?.engine],
    ['members', expected.members, facts.members.length],
  ]
  for (const [name, want, have] of words) {
    if (want !== undefined && want !== have) {
      yield { line, expected: `${name}=${want}`, found: have === undefined ? 'none' : `${name}=${have}` }
    }
  }
  if (expected.memberList.length > 0) yield* memberDifferences(expected, facts, line)
  if (expected.bytes !== undefined && expected.bytes !== facts.bytes) {
    yield { line, expected: `bytes=${expected.bytes}`, found: `bytes=${facts.bytes}` }
  }
  if (expected.sha256 !== undefined && expected.sha256 !== facts.sha256) {
    yield { line, expected: `sha256=${expected.sha256}`, found: `sha256=${facts.sha256}` }
  }
}

function* memberDifferences(
  { memberList }: ExpectedStream,
  { members }: StreamFacts,
  line: number,
): Generator<Difference> {
  for (const [index, want] of memberList.entries()) {
    const have = members[index]
    const expected = `${want.type} ${show(Buffer.from(want.path))}${want.sizeBytes === undefined ? '' : ` of ${want.sizeBytes} bytes`}`
    if (have === undefined) {
      yield { line: want.line, expected, found: 'no more members' }
      return
    }
    const isSame =
      have.type === want.type &&
      have.path === want.path &&
      (want.sizeBytes === undefined || want.sizeBytes === have.sizeBytes)
    if (!isSame) {
      const found = `${have.type} ${show(Buffer.from(have.path))}${have.type === 'file' ? ` of ${have.sizeBytes} bytes` : ''}`
      yield { line: want.line, expected, found }
    }
  }
  const extra = members[memberList.length]
  if (extra !== undefined) {
    yield { line, expected: `${memberList.length} members`, found: `one more, ${show(Buffer.from(extra.path))}` }
  }
}
