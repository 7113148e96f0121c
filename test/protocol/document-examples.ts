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

/** A message from one side. */
export interface MessageExample {
  readonly kind: 'kv' | 'request' | 'answer'
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

export interface ConversationExample {
  readonly kind: 'conversation'
  readonly at: number
  readonly outcome: 'sending' | 'ok' | 'failed'
  /** All that the client sends. */
  readonly client: Buffer
  /** What the agent says before the stream, `{sid}` and `{text}` standing for themselves. */
  readonly answer: Buffer
  /** Matches, as Latin-1, exactly what an agent may say here. */
  readonly answerPattern: RegExp
  readonly events: readonly ConversationEvent[]
}

export interface Picture {
  readonly kind: 'text'
  readonly at: number
}

export type DocumentExample = MessageExample | VersionsExample | EncodingExample | ConversationExample | Picture

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
  const [outcome, ...others] = words
  if ((outcome !== 'sending' && outcome !== 'ok' && outcome !== 'failed') || others.length > 0) {
    return fail('neither sending nor ok nor failed')
  }
  let client = ''
  let agent = ''
  const events: ConversationEvent[] = []
  for (const line of lines) {
    const [, event, note = ''] = /^-- ([a-z-]+)(?:: (.+))?$/.exec(line) ?? []
    const name = EVENTS.find((known) => known === event)
    if (line.startsWith('C: ')) client += line.slice(3)
    else if (line.startsWith('A: ')) agent += line.slice(3)
    else if (name === undefined) fail(`a line that is neither C: nor A: nor an event, ${JSON.stringify(line)}`)
    else events.push({ name, note })
  }
  const answer = spelledBytes(agent.replaceAll(PLACEHOLDER, '\\{$1}'))
  return {
    kind: 'conversation',
    at,
    outcome,
    client: spelledBytes(client),
    answer,
    answerPattern: patternOf(agent),
    events,
  }
}

const PLACEHOLDER = /(?<!\\)\{(sid|text)\}/g

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
