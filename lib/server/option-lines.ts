/**
 * Reads the text of a MySQL option file, by the rules of the servers' own reader.
 *
 *     # comment            also: ; comment, and behind a value outside quotes
 *     [client]             a group
 *     user = backup        blanks around name and value mean nothing
 *     password="a#b\\c"     one pair of quotes is taken off; \b \t \n \r \s \\ \" \' are undone
 *     !include /path
 *
 * Strict: what is neither of these is an error, because a line that is read otherwise than
 * it was meant is a wrong login. Its values are secrets: no message shows a line.
 *
 * Pure. Source: mysys/my_default.c; compared with `my_print_defaults` by a test.
 */

import { BackupError } from '../errors/index.ts'

export type OptionLine =
  | { readonly kind: 'option'; readonly group: string; readonly name: string; readonly value: string | undefined }
  | { readonly kind: 'include' | 'includedir'; readonly path: string }

const ESCAPES: Readonly<Record<string, string>> = {
  b: '\b',
  t: '\t',
  n: '\n',
  r: '\r',
  s: ' ',
  '\\': '\\',
  '"': '"',
  "'": "'",
}

/** @throws BackupError `ENGINE_DEFAULTS_FILE`, naming the line and not showing it */
export const readOptionLines = (text: string, path: string): OptionLine[] => {
  const lines: OptionLine[] = []
  let group: string | undefined
  for (const [at, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    const wrong = (what: string): BackupError =>
      new BackupError('ENGINE_DEFAULTS_FILE', `line ${at + 1} of ${path} ${what}`, { path, line: at + 1 })
    if (line === '' || line.startsWith('#') || line.startsWith(';')) continue
    const include = /^!(include|includedir)\s+(.+)$/.exec(line)
    if (include !== null) {
      lines.push({ kind: include[1] as 'include' | 'includedir', path: include[2] as string })
      continue
    }
    if (line.startsWith('!')) throw wrong('is a directive that is neither !include nor !includedir')
    if (line.startsWith('[')) {
      const end = line.indexOf(']')
      if (end === -1) throw wrong('begins a group and does not close its bracket')
      group = line.slice(1, end).trimEnd() // a blank in front belongs to the name, as for the servers
      continue
    }
    if (group === undefined) throw wrong('is an option outside of a group')
    const equals = line.indexOf('=')
    const name = (equals === -1 ? withoutComment(line) : line.slice(0, equals)).trim()
    const value = equals === -1 ? undefined : readValue(line.slice(equals + 1))
    lines.push({ kind: 'option', group, name: name.replaceAll('_', '-'), value })
  }
  return lines
}

const readValue = (text: string): string => undoEscapes(unquoted(withoutComment(text).trim()))

/** Up to a `#` that is not between quotes; inside them a backslash protects the next character. */
const withoutComment = (text: string): string => {
  let quote = ''
  let escaped = false
  for (const [at, character] of [...text].entries()) {
    if ((character === '"' || character === "'") && !escaped) {
      if (quote === '') quote = character
      else if (quote === character) quote = ''
    }
    if (quote === '' && character === '#') return [...text].slice(0, at).join('')
    escaped = quote !== '' && character === '\\' && !escaped
  }
  return text
}

const unquoted = (text: string): string =>
  text.length > 1 && (text.startsWith('"') || text.startsWith("'")) && text.at(-1) === text[0]
    ? text.slice(1, -1)
    : text

/** A backslash before anything else stays. */
const undoEscapes = (text: string): string =>
  text.replace(/\\([\s\S])/g, (both, character: string) => ESCAPES[character] ?? both)
