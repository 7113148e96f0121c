/** Text files that a person names on the command line: recorded sessions and receipts. */

import { isDeepStrictEqual } from 'node:util'

import { parseRequestSession, parseSession, writeSession } from '../../../lib/client/index.ts'
import { parseReceipt, writeReceiptText } from '../../../lib/client/receipt.ts'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { CORPUS, FIXTURES } from '../corpus.ts'
import { shown, type Target, whole } from '../target.ts'

const LINES = [
  ...[
    '# kv-backup-agent wire session 1',
    '> 0.76.1\\n',
    '> password={password}\\n',
    '> password=',
    '> a',
    '>cut',
    '>pause 200',
  ],
  ...[
    '>half-close',
    '< READY\\n',
    '< {text}',
    '< sid={sid}\\n',
    '<stream encoding=framed archive=whole',
    '<fin',
    '<reset',
  ],
  ...[
    '<member directory db',
    '<member file db/t.ibd 1024',
    '<end status=COMPLETE\\n',
    '>receipt',
    '> sha256={sha256}\\n',
  ],
]

export const SESSION_FILE: Target = {
  name: 'session-file',
  side: 'host',
  does: 'a recorded session, and that it is written as it was read',
  inputs: 30_000,
  quickInputs: 500,
  maxInputBytes: 400_000,
  dictionary: [
    ...LINES.map((line) => `${line}\n`),
    '\\x',
    '\\xff',
    '{',
    '}',
    '\\{',
    '\\\\',
    '\r',
    '\t',
    'encoding=uuencode',
    'block-size=0',
  ],
  isPiecewise: false,
  seeds: () =>
    readdirSync(join(FIXTURES, 'wire'))
      .filter((name) => name.endsWith('.session'))
      .sort()
      .map((name) => readFileSync(join(FIXTURES, 'wire', name))),
  compose: (random) => {
    const lines = Array.from({ length: random.spreadBetween(1, 60) }, () => random.pick(LINES))
    const long = random.next() < 0.01 ? [`> ${'a'.repeat(random.spreadBetween(1000, 390_000))}\\n`] : []
    return Buffer.from(
      `${[LINES[0], ...lines.slice(0, -1), ...long, random.pick(['<fin', '<reset', ''])].join('\n')}\n`,
    )
  },
  feed: (chunks, trace) => {
    const text = whole(chunks).toString('latin1')
    try {
      parseRequestSession(text)
      trace.say('the client half can be read')
    } finally {
      trace.say('')
    }
    const session = parseSession(text, 'file.session')
    const written = writeSession(session)
    if (writeSession(parseSession(written)) !== written) throw new Error('a session changes when it is written')
    trace.say(written)
    return 'read'
  },
}

const RECEIPT = readFileSync(join(CORPUS, 'receipt-file', 'seed-verdict'), 'utf8')

export const RECEIPT_FILE: Target = {
  name: 'receipt-file',
  side: 'host',
  does: 'the receipt beside an archive, and that it is written as it was read',
  inputs: 50_000,
  quickInputs: 600,
  maxInputBytes: 1_048_576,
  dictionary: [
    '{',
    '}',
    '[',
    ']',
    '"',
    ':',
    ',',
    'null',
    'true',
    '1e999',
    '-1',
    '"receipt":1',
    '"__proto__":{}',
    '\\ud800',
    '\u009b',
    '[[[[[[[[',
    '{"a":',
  ],
  isPiecewise: false,
  compose: (random) => {
    const depth = random.spreadBetween(1, 250_000)
    const value = random.pick(['7', 'null', '"a"', '{}', '"\u009b"', `${'['.repeat(depth)}${']'.repeat(depth)}`])
    return Buffer.from(RECEIPT.replace(random.pick(RECEIPT.match(/: [^,{}]+/g) ?? []), `: ${value}`))
  },
  feed: (chunks, trace) => {
    const receipt = parseReceipt(whole(chunks).toString(), 'backup.tar.receipt')
    trace.say(shown(receipt))
    if (!isDeepStrictEqual(parseReceipt(writeReceiptText(receipt), 'again'), receipt))
      throw new Error('a receipt changes when it is written')
    return 'read'
  },
}
