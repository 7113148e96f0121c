/**
 * Bytes as people read them in a session file, both ways.
 *
 *     msg=caf\xc3\xa9 {text}\n   ⇄   bytes, a placeholder, a byte
 *
 * There is one spelling for each byte when it is written, so that two recordings of the
 * same thing are the same text. Pure.
 */

import { showWire } from '../protocol/index.ts'
import { PLACEHOLDERS, type PlaceholderName, type WireText } from './recorded-session.ts'

/**
 * @param text without the marker at the beginning of its line
 * @param fail called with what is wrong
 */
export const parseWireText = (text: string, fail: (problem: string) => never): WireText => {
  const parts: (Buffer | { placeholder: PlaceholderName })[] = []
  let bytes: number[] = []
  const flush = (): void => {
    if (bytes.length > 0) parts.push(Buffer.from(bytes))
    bytes = []
  }
  for (let at = 0; at < text.length; ) {
    const [token] = TOKEN.exec(text.slice(at)) ?? []
    if (token === undefined) return fail(problemAt(text, at))
    at += token.length
    if (token.startsWith('{')) {
      const name = token.slice(1, -1) as PlaceholderName
      if (!PLACEHOLDERS.includes(name)) {
        return fail(`the placeholder ${token} is not known, there are {${PLACEHOLDERS.join('}, {')}}; a brace is \\{`)
      }
      flush()
      if (parts.length > 0 && !Buffer.isBuffer(parts.at(-1))) return fail(`expected bytes between two placeholders`)
      parts.push({ placeholder: name })
    } else if (token.startsWith('\\x')) bytes.push(Number.parseInt(token.slice(2), 16))
    else if (token.startsWith('\\')) bytes.push(ESCAPED[token] as number)
    else for (const byte of Buffer.from(token, 'latin1')) bytes.push(byte)
  }
  flush()
  return parts
}

/** A placeholder, an escape, or a run of bytes that stand for themselves. */
const TOKEN = /^(?:\{[a-z0-9]{1,32}\}|\\x[0-9a-f]{2}|\\[nrt\\{]|[ -[\]-z|}~]+)/

const ESCAPED: Readonly<Record<string, number>> = { '\\n': 10, '\\r': 13, '\\t': 9, '\\\\': 92, '\\{': 123 }
const SPELLED = new Map(Object.entries(ESCAPED).map(([spelling, byte]) => [byte, spelling]))

/** A piece of a session file as a message may show it: quoted, escaped, cut. The file is read a character a byte. */
export const showText = (text: string): string => showWire(Buffer.from(text.slice(0, MAX_SHOWN), 'latin1'))

/** More than `showWire` shows of it; a line may be as long as the file. */
const MAX_SHOWN = 100

const problemAt = (text: string, at: number): string => {
  const character = text.charAt(at)
  const found = showText(text.slice(at, at + 4))
  if (character === '\\') return `expected \\n, \\r, \\t, \\\\, \\{ or \\xHH with small letters, found ${found}`
  if (character === '{') return `expected a placeholder, found ${found}; a brace is \\{`
  return `expected printable ASCII, found ${found}; other bytes are written as \\xHH`
}

/** The one way to write these bytes down, wherever they stand in a line. */
export const spellBytes = (bytes: Buffer): string => {
  let text = ''
  for (const byte of bytes) {
    const spelled = SPELLED.get(byte)
    if (spelled !== undefined) text += spelled
    else if (byte < 32 || byte > 126) text += `\\x${byte.toString(16).padStart(2, '0')}`
    else text += String.fromCharCode(byte)
  }
  return text
}

/** What a session file never holds. */
export interface Secrets {
  readonly password?: string | undefined
  readonly token?: string | undefined
}

/** What placeholders stand for, as far as it is known. */
export type PlaceholderValues = { readonly [Name in PlaceholderName]?: string | undefined }

/** What follows a marker. A space at the end of a line is invisible, and a parser refuses it. */
export const spellWireText = (text: WireText): string =>
  text
    .map((part) => (Buffer.isBuffer(part) ? spellBytes(part) : `{${part.placeholder}}`))
    .join('')
    .replace(/ $/, '\\x20')

/** Puts values where their placeholders stand; nothing where there is none. */
export const filled = (text: WireText, values: PlaceholderValues): Buffer =>
  Buffer.concat(text.map((part) => (Buffer.isBuffer(part) ? part : Buffer.from(values[part.placeholder] ?? ''))))
