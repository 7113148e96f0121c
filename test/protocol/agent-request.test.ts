import { describe, expect, test } from '@jest/globals'

import { type AgentRequest, type CopyRequest, LIMITS, parseVersion, readRequest } from '../../lib/protocol/index.ts'
import { refusalOf } from './cuts.ts'

const COPY = { action: 'copy from', 'backup-level': '0', file: '/srv/x/ZRM_LINKS/.' }
const read = (pairs: Record<string, string>, version = '0.76.1'): AgentRequest =>
  readRequest(new Map(Object.entries(pairs)), parseVersion(version))
const copyOf = (request: AgentRequest): CopyRequest => {
  if (request.action !== 'copy from') throw new Error('expected a copy')
  return request
}
const readCopy = (pairs: Record<string, string> = {}): CopyRequest => copyOf(read({ ...COPY, ...pairs }))

test('a backup needs no more than action, level and file', () => {
  expect(readCopy()).toEqual({
    action: 'copy from',
    user: undefined,
    password: undefined,
    level: 'full',
    replication: false,
    file: '/srv/x/ZRM_LINKS/.',
    startsBackup: true,
    sid: undefined,
    streamEncoding: undefined,
    blockBytes: undefined,
    format: 'tar',
    compression: undefined,
    pairs: new Map(Object.entries(COPY)),
  })
})

test('reads every key that it knows', () => {
  const request = readCopy({
    user: 'backupdb',
    password: ' p=w ',
    'backup-level': '1',
    replication: '1',
    sid: '/srv/x',
    'agent-stream-encoding': 'application/octet-stream',
    'agent-stream-block-size': '4096',
  })

  expect(request).toMatchObject({
    user: 'backupdb',
    password: ' p=w ',
    level: 'incremental',
    replication: true,
    sid: '/srv/x',
    streamEncoding: 'application/octet-stream',
    blockBytes: 4096,
  })
})

test('an empty value of an optional key is as good as none', () => {
  const request = readCopy({
    user: '',
    replication: '',
    sid: '',
    'agent-stream-encoding': '',
    'agent-stream-block-size': '',
  })

  expect(request).toMatchObject({
    user: undefined,
    replication: false,
    sid: undefined,
    streamEncoding: undefined,
    blockBytes: undefined,
  })
})

test('a client of 0.76 gets tar, whatever a key says that it did not have', () => {
  expect(readCopy({ 'agent-stream-format': 'xbstream' }).format).toBe('tar')
  expect(readCopy({ 'agent-stream-format': 'cpio' }).format).toBe('tar')
})

test('an empty password is a password', () => {
  expect(readCopy({ password: '' }).password).toBe('')
})

test('keys that it does not know are kept and never looked at', () => {
  const odd = { host: '', 'xtrabackup-agent:my.cnf-path': '-1', max_items: 'many', newer_than: 'x', type: '=' }

  const request = readCopy(odd)

  expect(Object.fromEntries(request.pairs)).toEqual({ ...COPY, ...odd })
})

test.each([
  ['/srv/backups/BackupSet/20110304005033/ZRM_LINKS/.', true],
  ['ZRM_LINKS', true],
  ['/srv/x/mysql.cnf', false],
  ['/srv/x/zrm_links/.', false],
])('the file %s starts a backup: %s', (file, startsBackup) => {
  expect(readCopy({ file }).startsBackup).toBe(startsBackup)
})

test('reads a request for the history', () => {
  expect(
    read({ action: 'monitor', sid: '/srv/x', type: 'full', newer_than: '1710115201', max_items: '10' }),
  ).toMatchObject({ action: 'monitor', sid: '/srv/x', type: 'full', newerThan: 1_710_115_201, maxItems: 10 })
  expect(read({ action: 'monitor' })).toMatchObject({ sid: undefined, type: undefined, newerThan: undefined })
})

describe('refuses', () => {
  const without = (key: string): Record<string, string> =>
    Object.fromEntries(Object.entries(COPY).filter(([other]) => other !== key))

  test.each([
    ['a request without an action', {}, 'PROTOCOL_KEY_MISSING', 'action'],
    ['a backup without a level', without('backup-level'), 'PROTOCOL_KEY_MISSING', 'backup-level'],
    ['a backup without a file', without('file'), 'PROTOCOL_KEY_MISSING', 'file'],
    ['a backup without both', { action: 'copy from' }, 'PROTOCOL_KEY_MISSING', 'backup-level, file'],
    ['an unknown action', { action: 'copy to' }, 'AGENT_ACTION_UNKNOWN', '"copy to"'],
    ['an empty action', { action: '' }, 'AGENT_ACTION_UNKNOWN', 'found ""'],
    ['an action in other letters', { ...COPY, action: 'Copy From' }, 'AGENT_ACTION_UNKNOWN', '"Copy From"'],
    ['an empty file', { ...COPY, file: '' }, 'PROTOCOL_VALUE_INVALID', 'file'],
    ['another level', { ...COPY, 'backup-level': '2' }, 'PROTOCOL_VALUE_INVALID', 'found "2"'],
    ['a level with a space', { ...COPY, 'backup-level': '0 ' }, 'PROTOCOL_VALUE_INVALID', 'found "0 "'],
    ['an empty level', { ...COPY, 'backup-level': '' }, 'PROTOCOL_VALUE_INVALID', 'found ""'],
    ['a level that objects have already', { ...COPY, 'backup-level': 'toString' }, 'PROTOCOL_VALUE_INVALID', '0 or 1'],
    ['an odd replication', { ...COPY, replication: 'yes' }, 'PROTOCOL_VALUE_INVALID', 'found "yes"'],
    ['a block size with a unit', { ...COPY, 'agent-stream-block-size': '10k' }, 'PROTOCOL_VALUE_INVALID', '"10k"'],
    ['a negative block size', { ...COPY, 'agent-stream-block-size': '-1' }, 'PROTOCOL_VALUE_INVALID', '"-1"'],
    ['a block size with a zero', { ...COPY, 'agent-stream-block-size': '010' }, 'PROTOCOL_VALUE_INVALID', '"010"'],
    ['an endless block size', { ...COPY, 'agent-stream-block-size': '9'.repeat(20) }, 'PROTOCOL_VALUE_INVALID', '"999'],
    ['a long user', { ...COPY, user: 'u'.repeat(LIMITS.maxUserBytes + 1) }, 'PROTOCOL_VALUE_INVALID', '513 bytes'],
    ['a long password', { ...COPY, password: 'é'.repeat(513) }, 'PROTOCOL_VALUE_INVALID', '1026 bytes'],
    ['a history since a word', { action: 'monitor', newer_than: 'today' }, 'PROTOCOL_VALUE_INVALID', 'newer_than'],
    ['a history of another type', { action: 'monitor', type: 'Full' }, 'PROTOCOL_VALUE_INVALID', 'full or incremental'],
    ['a history of -1 items', { action: 'monitor', max_items: '-1' }, 'PROTOCOL_VALUE_INVALID', 'max_items'],
  ])('%s', (_, pairs, code, words) => {
    const refusal = refusalOf(() => read(pairs as Record<string, string>))

    expect(refusal.code).toBe(code)
    expect(refusal.message).toContain(words)
  })

  test('a missing key in the words of deployed agents', () => {
    expect(refusalOf(() => read({})).message).toMatch(/^Missing required header key/)
  })

  test('a password that is too long without showing it', () => {
    const refusal = refusalOf(() => readCopy({ password: 'hunter2'.repeat(200) }))

    expect(JSON.stringify([refusal.message, refusal.facts, refusal.hint])).not.toContain('hunter2')
  })

  test('an action of a stranger cut and escaped', () => {
    const { message } = refusalOf(() => read({ action: 'x'.repeat(5000) }))

    expect(message.length).toBeLessThan(200)
  })
})

test('takes a user and a password of the limit', () => {
  const request = readCopy({ user: 'u'.repeat(LIMITS.maxUserBytes), password: 'p'.repeat(LIMITS.maxPasswordBytes) })

  expect([request.user?.length, request.password?.length]).toEqual([512, 1024])
})

/** What agents of 0.76 have said, to the letter: clients of 0.75 and 0.76 must not notice a newer one. */
describe.each(['0.4.0', '0.75.1', '0.76.1', '0.76.9999'])('a client of %s is told in the words of 0.76', (version) => {
  const say = (pairs: Record<string, string>): unknown => {
    const { code, message, facts, hint } = refusalOf(() => read(pairs, version))
    return { code, message, facts, hint }
  }

  test.each(['ping', 'status', 'cancel', 'verdict', 'copy to'])('that the action %s is unknown', (action) => {
    const found = `"${action}"`

    expect(say({ action, sid: 's' })).toEqual({
      code: 'AGENT_ACTION_UNKNOWN',
      message: `expected the action "copy from" or "monitor", found ${found}`,
      facts: { action: found },
      hint: undefined,
    })
  })

  test.each([
    ['action', {}],
    ['backup-level, file', { action: 'copy from' }],
    ['file', { action: 'copy from', 'backup-level': '0' }],
    ['backup-level', { action: 'copy from', file: 'ZRM_LINKS' }],
  ])('that it lacks %s', (missing, pairs) => {
    expect(say(pairs as Record<string, string>)).toEqual({
      code: 'PROTOCOL_KEY_MISSING',
      message: `Missing required header key ${missing}`,
      facts: { missing: missing.split(', ') },
      hint: undefined,
    })
  })

  test.each([
    ['backup-level', '', '0 or 1', '""'],
    ['backup-level', '2', '0 or 1', '"2"'],
    ['file', '', 'a name', '""'],
  ])('that %s cannot be %j', (key, value, expected, found) => {
    expect(say({ ...COPY, [key]: value })).toEqual({
      code: 'PROTOCOL_VALUE_INVALID',
      message: `expected ${expected} as the value of ${key}, found ${found}`,
      facts: { key },
      hint: undefined,
    })
  })
})

describe('a client of 0.77', () => {
  const read077 = (pairs: Record<string, string>): AgentRequest => read(pairs, '0.77.0')

  test('that names neither level nor file wants a full backup', () => {
    expect(copyOf(read077({ action: 'copy from' }))).toEqual({
      ...readCopy(),
      file: 'ZRM_LINKS',
      pairs: new Map([['action', 'copy from']]),
    })
  })

  test('may leave both empty, as every key that may be left out', () => {
    const pairs = { action: 'copy from', 'backup-level': '', file: '', 'agent-stream-format': '' }

    expect(copyOf(read077(pairs))).toMatchObject({ level: 'full', startsBackup: true, format: 'tar' })
  })

  test.each([
    ['/srv/x/ZRM_LINKS/.', true],
    ['/srv/x/mysql.cnf', false],
  ])('that names the file %s is heard as before: it starts a backup: %s', (file, startsBackup) => {
    expect(copyOf(read077({ action: 'copy from', file }))).toMatchObject({ file, startsBackup })
  })

  test.each([
    ['0', 'full'],
    ['1', 'incremental'],
  ])('that names the level %s gets %s', (level, meaning) => {
    expect(copyOf(read077({ action: 'copy from', 'backup-level': level })).level).toBe(meaning)
  })

  test.each(['tar', 'xbstream'])('may ask for %s', (format) => {
    expect(copyOf(read077({ action: 'copy from', 'agent-stream-format': format })).format).toBe(format)
  })

  test.each(['ping', 'status'])('asks %s without any other key', (action) => {
    expect(read077({ action, 'a-key-of-later': '' })).toEqual({ action })
  })

  test.each(['cancel', 'verdict'])('asks %s about a sid', (action) => {
    expect(read077({ action, sid: '/srv/x = y' })).toEqual({ action, sid: '/srv/x = y' })
  })

  test('asks for the history as before', () => {
    expect(read077({ action: 'monitor', max_items: '3' })).toEqual(read({ action: 'monitor', max_items: '3' }))
  })

  test('of a later micro, minor or major is one too', () => {
    for (const version of ['0.77.9', '0.78.0', '1.0.0']) {
      expect(read({ action: 'ping' }, version)).toEqual({ action: 'ping' })
    }
  })

  test.each([
    ['cancel without a sid', { action: 'cancel' }, 'PROTOCOL_KEY_MISSING', 'Missing required header key sid'],
    ['cancel with an empty sid', { action: 'cancel', sid: '' }, 'PROTOCOL_KEY_MISSING', 'header key sid'],
    ['verdict without a sid', { action: 'verdict' }, 'PROTOCOL_KEY_MISSING', 'Missing required header key sid'],
    ['verdict with an empty sid', { action: 'verdict', sid: '' }, 'PROTOCOL_KEY_MISSING', 'header key sid'],
    ['no action', {}, 'PROTOCOL_KEY_MISSING', 'Missing required header key action'],
    ['an action in other letters', { action: 'Ping' }, 'AGENT_ACTION_UNKNOWN', '"verdict", found "Ping"'],
    ['a level that is none', { action: 'copy from', 'backup-level': '2' }, 'PROTOCOL_VALUE_INVALID', 'found "2"'],
    [
      'a format that is none',
      { action: 'copy from', 'agent-stream-format': 'cpio' },
      'PROTOCOL_VALUE_INVALID',
      'expected tar or xbstream as the value of agent-stream-format, found "cpio"',
    ],
    [
      'a format in other letters',
      { action: 'copy from', 'agent-stream-format': 'Tar' },
      'PROTOCOL_VALUE_INVALID',
      'found "Tar"',
    ],
    [
      'a format that objects have already',
      { action: 'copy from', 'agent-stream-format': 'toString' },
      'PROTOCOL_VALUE_INVALID',
      'tar or xbstream',
    ],
  ])('is refused %s', (_, pairs, code, words) => {
    const refusal = refusalOf(() => read077(pairs as Record<string, string>))

    expect(refusal.code).toBe(code)
    expect(refusal.message).toContain(words)
  })
})

describe('a request for what has changed since another backup', () => {
  const INCREMENT = { action: 'copy from', 'backup-level': '1' }
  const increment = (pairs: Record<string, string>, version = '0.77.0') =>
    copyOf(read({ ...INCREMENT, ...pairs }, version)).increment

  test.each([
    ['a session', { 'base-sid': 'nightly = 1' }, { baseSid: 'nightly = 1', lsn: undefined }],
    ['a number', { 'incremental-lsn': '18446744073709551615' }, { baseSid: undefined, lsn: '18446744073709551615' }],
    ['both', { 'base-sid': 'a', 'incremental-lsn': '1' }, { baseSid: 'a', lsn: '1' }],
  ])('names %s', (_, pairs, meaning) => {
    expect(increment(pairs)).toEqual(meaning)
  })

  test('is one for binary logs when both keys are empty, or the client is older', () => {
    expect(increment({ 'base-sid': '', 'incremental-lsn': '' })).toBeUndefined()
    expect(increment({ 'base-sid': 'a', 'incremental-lsn': 'x', file: 'ZRM_LINKS' }, '0.76.1')).toBeUndefined()
  })

  test.each([
    ['a full one with a base', { 'backup-level': '0', 'base-sid': 'a' }, /backup-level=1 beside base-sid/],
    ['no level with a number', { 'backup-level': '', 'incremental-lsn': '7' }, /backup-level=1 beside incremental-lsn/],
    ['the number 0', { 'incremental-lsn': '0' }, /found "0"/],
    ['a number with a zero', { 'incremental-lsn': '07' }, /found "07"/],
    ['a negative number', { 'incremental-lsn': '-7' }, /found "-7"/],
    ['a number of 65 bits', { 'incremental-lsn': '18446744073709551616' }, /1 to 18446744073709551615/],
    ['an option', { 'incremental-lsn': '7 --plugin-dir=/srv' }, /plain digits/],
  ])('is refused with %s', (_, pairs, words) => {
    const refusal = refusalOf(() => read({ ...INCREMENT, ...(pairs as Record<string, string>) }, '0.77.0'))

    expect(refusal.code).toBe('PROTOCOL_VALUE_INVALID')
    expect(refusal.message).toMatch(words)
  })
})
