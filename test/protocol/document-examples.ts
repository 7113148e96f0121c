/**
 * Finds the examples in PROTOCOL.md and turns them into bytes.
 *
 * What it knows is what "How to read the examples" says there, and no more. Anything
 * else behind a fence is an error that names the line: an example with a typing
 * mistake must not become one that nobody runs.
 *
 * Knows nothing of parsers: `protocol-document.test.ts` runs the examples against
 * them, and whoever has a real agent can run the conversations against that.
 */

import { readFileSync } from 'node:fs'

export type Expected =
  | { readonly outcome: 'accepted' }
  | { readonly outcome: 'refused'; readonly code: string; readonly line: number | undefined }

type MessageKind = 'kv' | 'request' | 'answer' | 'frames' | 'receipt'

/** A message from one side. */
export interface MessageExample<Kind extends MessageKind = MessageKind> {
  readonly kind: Kind
  /** Where the example begins in the document, from 1. */
  readonly at: number
  readonly expected: Expected
  readonly wire: Buffer
}

export interface VersionsExample {
  readonly kind: 'version'
  readonly at: number
  readonly expected: Expected
  readonly versions: readonly string[]
}

export interface EncodingExample {
  readonly kind: 'encoding'
  readonly at: number
  readonly mime: string
  readonly blockBytes: number
  readonly raw: Buffer
  readonly wire: Buffer
}

const EVENTS = ['wait', 'stream', 'fin', 'reset', 'half-close'] as const

export interface ConversationEvent {
  readonly name: (typeof EVENTS)[number]
  /** What stands behind the colon; for `stream`, the MIME type. */
  readonly note: string
}

const OUTCOMES = ['sending', 'accepted', 'ok', 'answered', 'failed'] as const

/** What an agent says. */
export interface Said {
  /** `{sid}` and `{text}` standing for themselves. */
  readonly bytes: Buffer
  /** Matches, as Latin-1, exactly what an agent may say here. */
  readonly pattern: RegExp
}

export interface ConversationExample {
  readonly kind: 'conversation'
  readonly at: number
  readonly outcome: (typeof OUTCOMES)[number]
  /** All that the client sends before the stream. */
  readonly client: Buffer
  /** Before the stream. */
  readonly answer: Said
  /** The block in the end frame, where the stream has one. */
  readonly end: Said | undefined
  /** What the client says behind the stream, for the archive that it counted. */
  readonly receipt: ((bytes: number, sha256: string) => Buffer) | undefined
  readonly events: readonly ConversationEvent[]
}

export interface Picture {
  readonly kind: 'text'
  readonly at: number
}

export type DocumentExample =
  | { [Kind in MessageKind]: MessageExample<Kind> }[MessageKind]
  | VersionsExample
  | EncodingExample
  | ConversationExample
  | Picture

/** PROTOCOL.md as it lies in the repository; tests run from `dist/test/<room>`. */
export const readProtocolDocument = (): string => readFileSync(new URL('../../../PROTOCOL.md', import.meta.url), 'utf8')

/** @throws Error that names the line, for anything that is no example as the document defines them */
export const findExamples = (markdown: string): DocumentExample[] => {
  const examples: DocumentExample[] = []
  let open: { info: string; at: number; lines: string[] } | undefined
  for (const [index, line] of markdown.split('\n').entries()) {
    if (/^\s*(?:`{3,}|~{3,})/.test(line) && !line.startsWith('```')) throw new Error(`odd fence on line ${index + 1}`)
    if (!line.startsWith('```')) open?.lines.push(line)
    else if (open === undefined) open = { info: line.slice(3), at: index + 1, lines: [] }
    else {
      if (line !== '```') throw new Error(`expected the end of the example of line ${open.at} on line ${index + 1}`)
      examples.push(readExample(open.info, open.at, open.lines))
      open = undefined
    }
  }
  if (open !== undefined) throw new Error(`the example on line ${open.at} has no end`)
  return examples
}

const readExample = (info: string, at: number, lines: readonly string[]): DocumentExample => {
  const fail = (problem: string): never => {
    throw new Error(`${problem}: example "${info}" on line ${at}`)
  }
  const [kind, ...words] = info.split(' ')
  if (lines.length === 0) fail('nothing in it')
  switch (kind) {
    case 'text':
      if (words.length > 0) fail('words that mean nothing')
      return { kind, at }
    case 'kv':
    case 'request':
    case 'answer':
    case 'frames':
    case 'receipt':
      return { kind, at, expected: readExpected(words, fail), wire: spelledBytes(lines.join('')) }
    case 'version':
      return {
        kind,
        at,
        expected: readExpected(words, fail),
        versions: lines.map((line) => spelledBytes(line).toString('latin1')),
      }
    case 'encoding':
      return readEncoding(words, at, lines, fail)
    case 'conversation':
      return readConversation(words, at, lines, fail)
    default:
      return fail('an unknown kind of example')
  }
}

type Fail = (problem: string) => never

const readExpected = (words: readonly string[], fail: Fail): Expected => {
  const [outcome, code, ...place] = words
  if (outcome === 'accepted' && code === undefined) return { outcome }
  if (outcome !== 'refused' || code === undefined || !/^[A-Z_]+$/.test(code))
    return fail('neither accepted nor refused')
  if (place.length === 0) return { outcome, code, line: undefined }
  if (place.length !== 2 || place[0] !== 'line' || !/^[1-9]\d*$/.test(place[1] ?? '')) return fail('an odd place')
  return { outcome, code, line: Number(place[1]) }
}

const readEncoding = (words: readonly string[], at: number, lines: readonly string[], fail: Fail): EncodingExample => {
  const [mime, blockBytes, ...others] = words
  if (mime === undefined || !/^\d+$/.test(blockBytes ?? '') || others.length > 0) return fail('no type and block size')
  const side = (prefix: string): Buffer =>
    spelledBytes(lines.flatMap((line) => (line.startsWith(prefix) ? line.slice(prefix.length) : [])).join(''))
  if (!lines.every((line) => /^(?:raw|wire): /.test(line))) fail('a line that is neither raw: nor wire:')
  return { kind: 'encoding', at, mime, blockBytes: Number(blockBytes), raw: side('raw: '), wire: side('wire: ') }
}

const readConversation = (
  words: readonly string[],
  at: number,
  lines: readonly string[],
  fail: Fail,
): ConversationExample => {
  const outcome = OUTCOMES.find((known) => known === words[0])
  if (outcome === undefined || words.length > 1) return fail(`none of ${OUTCOMES.join(', ')}`)
  const spoken = { client: '', answer: '', end: '', receipt: '' }
  const events: ConversationEvent[] = []
  for (const line of lines) {
    const [, event, note = ''] = /^-- ([a-z-]+)(?:: (.+))?$/.exec(line) ?? []
    const name = EVENTS.find((known) => known === event)
    const isBehindStream = events.some((before) => before.name === 'stream')
    const text = line.slice(3)
    if (line.startsWith('C: ')) spoken[isBehindStream ? 'receipt' : 'client'] += text
    else if (line.startsWith('A: ') && !isBehindStream) spoken.answer += text
    else if (line.startsWith('E: ') && isBehindStream) spoken.end += text
    else if (name === undefined) fail(`a line that has no place here, ${JSON.stringify(line)}`)
    else events.push({ name, note })
  }
  const { client, answer, end, receipt } = spoken
  return {
    kind: 'conversation',
    at,
    outcome,
    client: spelledBytes(client),
    answer: saidOf(answer),
    end: end === '' ? undefined : saidOf(end),
    receipt: receipt === '' ? undefined : (bytes, sha256) => filledReceipt(receipt, bytes, sha256),
    events,
  }
}

const filledReceipt = (spelled: string, bytes: number, sha256: string): Buffer =>
  spelledBytes(spelled.replaceAll('{bytes}', String(bytes)).replaceAll('{sha256}', sha256))

const PLACEHOLDER = /(?<!\\)\{(sid|text)\}/g

const saidOf = (spelled: string): Said => ({
  bytes: spelledBytes(spelled.replaceAll(PLACEHOLDER, '\\{$1}')),
  pattern: patternOf(spelled),
})

const patternOf = (spelled: string): RegExp => {
  const parts = spelled.split(/(?<!\\)\{(?:sid|text)\}/)
  const quoted = parts.map((part) =>
    spelledBytes(part)
      .toString('latin1')
      .replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'),
  )
  return new RegExp(`^${quoted.join('[^\\n]+')}$`)
}

const ESCAPED: Readonly<Record<string, string>> = { '\\n': '\n', '\\r': '\r', '\\t': '\t', '\\\\': '\\', '\\{': '{' }

/**
 * Bytes as the document spells them: escapes, repetitions, everything else as UTF-8.
 *
 * @throws Error for an escape that is none
 */
export const spelledBytes = (text: string): Buffer => {
  const pieces: Buffer[] = []
  // A repetition may hold escapes, but no bracket that closes and no other repetition.
  for (const [token] of text.matchAll(/\\\*\d+\((?:\\[^*]|[^\\)])+\)|\\x[0-9a-f]{2}|\\.?|[^\\]+/gsu)) {
    const [, times, repeated] = /^\\\*(\d+)\((.+)\)$/s.exec(token) ?? []
    const escaped = ESCAPED[token]
    if (repeated !== undefined) pieces.push(...Array<Buffer>(Number(times)).fill(spelledBytes(repeated)))
    else if (token.startsWith('\\x')) pieces.push(Buffer.from(token.slice(2), 'hex'))
    else if (escaped !== undefined) pieces.push(Buffer.from(escaped))
    else if (token.startsWith('\\'))
      throw new Error(`an escape that is none: ${JSON.stringify(token)} in ${JSON.stringify(text.slice(0, 80))}`)
    else pieces.push(Buffer.from(token))
  }
  return Buffer.concat(pieces)
}
