/**
 * Says where an agent answered differently, so that a person can see it at one glance.
 *
 *     fetch.session, line 14: expected "READY\n", found "3\n"
 *       hint: the agent went on: "status=FAILED\n" "msg=busy…\n"
 *
 * What the agent said is cut to a length and never shows the password or the token. Pure.
 */

import { BackupError } from '../errors/index.ts'
import type { RecordedSession } from './recorded-session.ts'
import { type Secrets, spellBytes } from './recorded-session-text.ts'

/** Enough to see what it is; the rest is in the agent's log. */
const MAX_SHOWN_CHARACTERS = 200
const MAX_SHOWN_LINES = 5

export interface Difference {
  readonly line: number
  readonly expected: string
  readonly found: string
  /** What the agent had said behind it. */
  readonly after?: Buffer
  readonly cause?: unknown
}

export const sessionDiffers = (
  session: RecordedSession,
  { line, expected, found, after, cause }: Difference,
  { password, token }: Secrets = {},
): BackupError => {
  const hide = (text: string): string => hidden(hidden(text, 'password', password), 'token', token)
  const where = session.file === undefined ? `line ${line}` : `${session.file}, line ${line}`
  const others = after === undefined ? '' : hide(showLines(after))
  return new BackupError(
    'SESSION_DIFFERS',
    `${where}: expected ${expected}, found ${hide(found)}`,
    { line, expected, found: hide(found) },
    { cause, ...(others === '' ? {} : { hint: `the agent went on: ${others}` }) },
  )
}

/** Bytes in quotes, in the spelling of a session file. */
export const show = (bytes: Buffer): string => {
  const text = spellBytes(bytes)
  return text.length <= MAX_SHOWN_CHARACTERS ? `"${text}"` : `"${text.slice(0, MAX_SHOWN_CHARACTERS)}…"`
}

const showLines = (bytes: Buffer): string => {
  const lines: string[] = []
  for (let at = 0; at < bytes.length && lines.length < MAX_SHOWN_LINES; ) {
    const newlineAt = bytes.indexOf(10, at)
    const end = newlineAt === -1 ? bytes.length : newlineAt + 1
    lines.push(show(bytes.subarray(at, end)))
    at = end
  }
  return lines.join(' ')
}

const hidden = (text: string, name: keyof Secrets, secret: string | undefined): string =>
  secret === undefined || secret === ''
    ? text
    : text.replaceAll(spellBytes(Buffer.from(secret)), `{${name}}`).replaceAll(secret, `{${name}}`)
