import { describe, expect, test } from '@jest/globals'

import { decide, type PolicyContext } from '../../lib/agent/policy.ts'
import { parseVersion, readRequest } from '../../lib/protocol/index.ts'

const EXAMPLE: Readonly<Record<string, string>> = {
  action: 'copy from',
  user: 'backupdb',
  password: 's3cUre',
  'backup-level': '0',
  replication: '1',
  file: '/srv/backups/BackupSet/20110304005033/ZRM_LINKS/.',
}
const CONTEXT: PolicyContext = { loginRequired: true, hasXbstream: true, makeSid: () => 'made-up' }

const decideOn = (pairs: Readonly<Record<string, string>>, context = CONTEXT) => decideAs('0.76.1', pairs, context)

const decideAs = (speaks: string, pairs: Readonly<Record<string, string>>, context = CONTEXT) => {
  const version = parseVersion(speaks)
  return decide(readRequest(new Map(Object.entries(pairs)), version), version, context)
}

describe('a request for a full backup', () => {
  test('starts one, with a session id made up when the client has none', () => {
    expect(decideOn(EXAMPLE)).toEqual({
      kind: 'backup',
      sid: 'made-up',
      user: 'backupdb',
      password: 's3cUre',
      isFraming: false,
      format: 'tar',
      encoding: 'uuencode',
      blockBytes: 10_240,
      compression: undefined,
    })
  })

  test.each([
    ['/usr/bin/gzip -c', { name: 'gzip' }],
    ['zstd -T4 -3', { name: 'zstd', threads: 4, level: 3 }],
    ['', undefined],
  ])('is compressed as the words "%s" ask for', (words, compression) => {
    expect(decideOn({ ...EXAMPLE, 'xtrabackup-agent:inline-compress': words })).toMatchObject({ compression })
  })

  test('keeps the session id of a client that has one', () => {
    expect(decideOn({ ...EXAMPLE, sid: '/srv/backups/a' })).toMatchObject({ sid: '/srv/backups/a' })
  })

  test('starts nothing unless its file names ZRM_LINKS', () => {
    expect(decideOn({ ...EXAMPLE, file: '/srv/backups/BackupSet/20110304005033/backup.mycnf' })).toMatchObject({
      kind: 'nothing',
      sid: 'made-up',
    })
  })

  test.each([
    ['application/octet-stream', 'octet'],
    ['application/x-base64-stream', 'base64'],
    ['application/x-uuencode-stream', 'uuencode'],
    ['', 'uuencode'],
  ])('that asks for "%s" gets %s', (mime, encoding) => {
    expect(decideOn({ ...EXAMPLE, 'agent-stream-encoding': mime })).toMatchObject({ encoding })
  })

  test('needs no login where the agent has its own', () => {
    const { user: _user, password: _password, ...anonymous } = EXAMPLE

    expect(decideOn(anonymous, { ...CONTEXT, loginRequired: false })).toMatchObject({ kind: 'backup', user: undefined })
  })

  test('obeys none of the paths, programs and options that deployed clients send along', () => {
    const named = {
      ...EXAMPLE,
      'xtrabackup-agent:socket': '/tmp/evil.sock',
      'xtrabackup-agent:my.cnf-path': '/etc/shadow',
      'xtrabackup-agent:innobackupex-path': '/bin/sh',
      'mysql-binlog-path': '/etc',
      tmpdir: '/root',
    }

    expect(decideOn(named)).toEqual(decideOn(EXAMPLE))
  })
})

test.each([
  ['an incremental backup', { 'backup-level': '1' }, 'AGENT_NOT_SUPPORTED'],
  ['a compressor it does not know', { 'xtrabackup-agent:inline-compress': '/usr/bin/bzip2 -c' }, 'COMPRESS_REFUSED'],
  ['a compressor with more behind it', { 'xtrabackup-agent:inline-compress': 'gzip -c; id' }, 'COMPRESS_REFUSED'],
  ['an unknown encoding', { 'agent-stream-encoding': 'application/x-rot13' }, 'ENCODING_UNKNOWN'],
  ['a block size of 0', { 'agent-stream-block-size': '0' }, 'ENCODING_BLOCK_SIZE'],
  ['a block size of two megabytes', { 'agent-stream-block-size': '2000000' }, 'ENCODING_BLOCK_SIZE'],
  [
    'options for the backup program that the operator has not written',
    { 'xtrabackup-agent:innobackupex-opts': '--tables=x; id' },
    'AGENT_NOT_ALLOWED',
  ],
  ['another action', { action: 'format disk' }, 'AGENT_ACTION_UNKNOWN'],
])('refuses %s', (_, changed, code) => {
  expect(() => decideOn({ ...EXAMPLE, ...changed })).toThrow(expect.objectContaining({ code }))
})

test('asks no login of who wants the history', () => {
  expect(decideOn({ action: 'monitor', type: 'full', max_items: '3' })).toMatchObject({
    kind: 'monitor',
    wanted: { type: 'full', maxItems: 3 },
  })
})

test('refuses a request without a user where the engine logs in, in the words deployed clients know', () => {
  const { user: _user, ...nobody } = EXAMPLE

  expect(() => decideOn(nobody)).toThrow(/^Missing required header key/)
})

describe('what 0.77 has added', () => {
  const FRAMED = { ...EXAMPLE, 'agent-stream-encoding': 'application/x-framed-stream' }

  test('is a framed stream, as tar or as an xbstream', () => {
    expect(decideAs('0.77.0', FRAMED)).toMatchObject({ isFraming: true, encoding: 'framed', format: 'tar' })
    expect(decideAs('0.77.0', { ...FRAMED, 'agent-stream-format': 'xbstream' })).toMatchObject({ format: 'xbstream' })
  })

  test('is a backup without level and file', () => {
    expect(decideAs('0.77.0', { action: 'copy from', user: 'backupdb' })).toMatchObject({ kind: 'backup' })
  })

  test('without a user has no login of its own: a password is not tried at the account of the host', () => {
    const asked = { action: 'copy from', password: 'guessed' }

    expect(decideAs('0.77.0', asked, { ...CONTEXT, loginRequired: false })).toMatchObject({
      isHostLogin: true,
      password: undefined,
    })
  })

  test('is not there for a client of 0.76: frames are an unknown encoding, the format an unknown key', () => {
    expect(() => decideOn(FRAMED)).toThrow(expect.objectContaining({ code: 'ENCODING_UNKNOWN' }))
    expect(decideOn({ ...EXAMPLE, 'agent-stream-format': 'zip' })).toMatchObject({ format: 'tar' })
  })

  test('is compression by name', () => {
    const asked = { ...FRAMED, 'agent-stream-compress': 'zstd:3' }

    expect(decideAs('0.77.0', asked)).toMatchObject({ compression: { name: 'zstd', level: 3 } })
    expect(decideOn({ ...EXAMPLE, 'agent-stream-compress': 'zip' })).toMatchObject({ compression: undefined })
  })

  test('refuses an xbstream in an encoding that does not show a cut', () => {
    const octet = { ...EXAMPLE, 'agent-stream-encoding': 'application/octet-stream', 'agent-stream-format': 'xbstream' }

    expect(() => decideAs('0.77.1', octet)).toThrow(expect.objectContaining({ code: 'PROTOCOL_VALUE_INVALID' }))
  })

  test('refuses an xbstream where the engine makes none', () => {
    const context = { ...CONTEXT, hasXbstream: false }

    expect(() => decideAs('0.77.0', { ...FRAMED, 'agent-stream-format': 'xbstream' }, context)).toThrow(
      expect.objectContaining({ code: 'AGENT_NOT_SUPPORTED' }),
    )
  })

  test.each(['ping', 'status'])('is the question %s', (action) => {
    expect(decideAs('0.77.0', { action })).toEqual({ kind: 'question', question: { action } })
  })

  test.each(['cancel', 'verdict'])('is %s for a session id', (action) => {
    expect(decideAs('0.77.0', { action, sid: 's' })).toEqual({ kind: 'question', question: { action, sid: 's' } })
  })

  test('is an incremental backup of pages, on a base that is looked up later', () => {
    const increment = { ...FRAMED, 'backup-level': '1', 'base-sid': 'full', 'incremental-lsn': '7' }

    expect(decideAs('0.77.0', increment)).toMatchObject({ kind: 'backup', increment: { baseSid: 'full', lsn: '7' } })
    expect(decideAs('0.77.0', { ...increment, file: 'mysql.cnf' })).toMatchObject({ kind: 'nothing' })
  })

  test.each([
    ['without a base, which means binary logs', '0.77.0', {}, CONTEXT],
    ['with a base, from an older client', '0.76.1', { 'base-sid': 'full' }, CONTEXT],
    ['where the engine reads a directory', '0.77.0', { 'base-sid': 'full' }, { ...CONTEXT, hasXbstream: false }],
  ])('refuses an incremental backup %s', (_, speaks, more, context) => {
    const pairs = { ...EXAMPLE, 'backup-level': '1', ...more }

    expect(() => decideAs(speaks, pairs, context)).toThrow(expect.objectContaining({ code: 'AGENT_NOT_SUPPORTED' }))
  })
})
