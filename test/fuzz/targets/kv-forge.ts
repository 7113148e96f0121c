/** KV blocks for the fuzzer: composed from pairs that somebody may send, and mended after they were changed. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { filled } from '../../../lib/client/recorded-session-text.ts'
import { parseSession } from '../../../lib/client/index.ts'
import type { SeededRandom } from '../../faults/seeded-random.ts'
import { FIXTURES } from '../corpus.ts'

export const KEYS = [
  ...['action', 'user', 'password', 'backup-level', 'replication', 'file', 'sid', 'binlog', 'tmpdir', 'type'],
  ...['agent-stream-encoding', 'agent-stream-block-size', 'agent-stream-format', 'newer_than', 'max_items', 'host'],
  ...['status', 'msg', 'code', 'bytes', 'sha256', 'entries', 'padded-files', 'padded-bytes', 'engine'],
  ...[
    'engine-version',
    'engine-exit',
    'engine-signal',
    'sent',
    'files',
    'stage',
    'percent',
    'eta',
    'agent',
    'protocol',
  ],
  ...['format', 'encoding', 'compression', 'uptime', 'history', 'jobs', 'job', 'peer', 'state', 'seconds', 'spilled'],
  ...['outcome', 'started', 'ended', 'cancelled', 'binlog-file', 'binlog-position', 'gtid', 'lsn-from', 'lsn-to'],
  ...['xtrabackup-agent:socket', 'xtrabackup-agent:inline-compress', '__proto__', 'constructor', 'é', ''],
]

export const VALUES = [
  ...['copy from', 'monitor', 'ping', 'status', 'cancel', 'verdict', '0', '1', '2', 'backup/ZRM_LINKS/.', 'nightly'],
  ...['OK', 'FAILED', 'SENDING', 'ACCEPTED', 'COMPLETE', 'RECEIVED', 'RUNNING', 'tar', 'xbstream', 'none', 'framed'],
  ...['application/x-framed-stream', 'application/x-base64-stream', 'application/octet-stream', 'no/such-stream'],
  ...['10240', '57', '56', '1048577', '00', '-1', '1e3', '999999999999999', '1000000000000000', '99999999999999999999'],
  ...[
    'a'.repeat(64),
    '0'.repeat(64),
    'g'.repeat(64),
    '',
    ' ',
    '=',
    'a=b',
    '"',
    '\\n',
    '../../etc/shadow',
    '/usr/bin/gzip -c',
  ],
  ...['gzip;id', '--plugin-dir=/tmp', '!include /etc/shadow', '\u00e9', '\u{1f600}', '100', '101', 'READY'],
]

export const WORDS: readonly string[] = [
  ...[
    '0.75.1\n',
    '0.76.1\n',
    '0.77.0\n',
    '0.78.0\n',
    '1.8b7_palomino\n',
    'READY\n',
    'READY',
    '\n\n',
    '\r\n',
    '\0',
    '\x1b[',
  ],
  ...[
    '\u0085',
    '\u009b',
    '\ufeff',
    '\u202e',
    '=',
    '\n=',
    '=\n',
    '0\n',
    '1\n',
    '256\n',
    '257\n',
    '1000000000\n',
    '01\n',
    '-1\n',
  ],
  ...KEYS.map((key) => `${key}=`),
  ...VALUES,
]

export const anyPairs = (random: SeededRandom, most: number): string[] =>
  Array.from({ length: random.between(0, most) }, () => `${random.pick(KEYS)}=${random.pick(VALUES)}`)

/** With a count that is mostly right. */
export const anyBlock = (random: SeededRandom, pairs: readonly string[]): string => {
  const count = random.next() < 0.95 ? pairs.length : random.between(0, 300)
  return `${count}\n${pairs.map((pair) => `${pair}\n`).join('')}\n`
}

/** Pairs that belong together, some of them changed, left out or said twice. */
export const almost = (random: SeededRandom, pairs: Readonly<Record<string, string>>): string[] =>
  Object.entries(pairs).flatMap(([key, value]) => {
    const draw = random.next()
    if (draw < 0.04) return []
    if (draw < 0.1) return [`${key}=${random.pick(VALUES)}`]
    if (draw < 0.12) return [`${key}=${value}`, `${key}=${random.pick(VALUES)}`]
    return [`${key}=${value}`]
  })

/**
 * Makes the counts right. Blocks stand one behind the other: count, pairs, an empty line.
 *
 * @param firstLine where the first count stands
 */
export const recount = (bytes: Buffer, firstLine: number): Buffer => {
  const lines = bytes.toString('latin1').split('\n')
  for (let at = firstLine; at < lines.length; ) {
    const end = lines.indexOf('', at + 1)
    if (end === -1) break
    lines[at] = String(end - at - 1)
    at = end + 1
  }
  return Buffer.from(lines.join('\n'), 'latin1')
}

/** One half of every recorded session in fixtures/wire, as bytes. */
export const recordedHalves = (half: 'send' | 'answer'): Buffer[] => {
  const directory = join(FIXTURES, 'wire')
  const values = {
    password: 's3cUre',
    sid: 'nightly',
    text: 'some text',
    version: '0.1.0',
    bytes: '51200',
    sha256: 'ab'.repeat(32),
  }
  return readdirSync(directory)
    .filter((name) => name.endsWith('.session'))
    .sort()
    .map((name) =>
      Buffer.concat(
        parseSession(readFileSync(join(directory, name), 'latin1')).steps.flatMap((step) =>
          step.kind === half ? [filled(step.text, values)] : [],
        ),
      ),
    )
}
