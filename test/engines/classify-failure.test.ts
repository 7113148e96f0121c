import { describe, expect, test } from '@jest/globals'

import type { ChildEnd } from '../../lib/engines/child.ts'
import { classifyFailure, type EndOfProgram } from '../../lib/engines/classify-failure.ts'
import { MARIADB_WORDS } from '../../lib/engines/mariadb-words.ts'
import { redactor } from '../../lib/engines/redaction.ts'
import { WordsReader } from '../../lib/engines/words-reader.ts'
import { XTRABACKUP_WORDS } from '../../lib/engines/xtrabackup-words.ts'
import { BackupError } from '../../lib/errors/index.ts'
import { recorded } from './stand-ins.ts'

const classify = (
  lines: readonly string[],
  end: Partial<ChildEnd> = {},
  cancelled?: unknown,
  more: Pick<EndOfProgram, 'lock' | 'redoCapacityBytes'> = {},
): BackupError | undefined => {
  const words = new WordsReader(MARIADB_WORDS, redactor(undefined))
  for (const line of lines) words.take(line)
  const whole = { exitCode: 'signal' in end ? undefined : 1, signal: undefined, ...end }
  return classifyFailure({ name: 'mariadb-backup', user: 'backup', end: whole, seen: words.seen(), cancelled, ...more })
}

const OK = '[00] 2026-11-21 06:47:36 completed OK!'
const said = (text: string): string => `[00] 2026-11-21 06:47:36 ${text}`

describe('the end of a program', () => {
  test('is a success with exit 0, no signal and the word of success', () => {
    expect(classify(recorded('complete'), { exitCode: 0 })).toBeUndefined()
  })

  test.each([
    [
      'wrong-password',
      'ENGINE_LOGIN',
      /refused the login: Access denied for user 'bk'@'localhost'/,
      /check user and password/,
    ],
    [
      'no-privilege',
      'ENGINE_PRIVILEGE',
      /`nopriv`@`localhost` lacks RELOAD, PROCESS$/,
      /GRANT RELOAD, PROCESS ON \*\.\* TO `nopriv`@`localhost`$/,
    ],
    [
      'no-binlog-monitor',
      'ENGINE_PRIVILEGE',
      /lacks BINLOG MONITOR$/,
      /GRANT BINLOG MONITOR ON \*\.\* TO 'backup'@'localhost'$/,
    ],
    [
      'redo-overrun',
      'ENGINE_REDO_OVERRUN',
      /Was only able to copy log from \d+ to \d+, not \d+/,
      /innodb_log_file_size/,
    ],
    ['lock-timeout', 'ENGINE_FAILED', /did not get its lock in time/, /another backup/],
  ])('recorded as %s is %s, with a hint', (recording, code, message, hint) => {
    expect(classify(recorded(recording))).toMatchObject({
      code,
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
      facts: { exitCode: 1, signal: null, lastLines: expect.any(Array) },
    })
  })

  test.each([
    ['exit 0 without a word', [], { exitCode: 0 }, 'ENGINE_NO_OK', /it said nothing/],
    ['exit 0 with other last words', [OK, said('one more thing')], { exitCode: 0 }, 'ENGINE_NO_OK', /one more thing/],
    [
      'the word of success and exit 1',
      [OK],
      { exitCode: 1 },
      'ENGINE_FAILED',
      /exited with 1 after it had said "completed OK!"/,
    ],
    ['the word of success and a signal', [OK], { signal: 'SIGKILL' }, 'ENGINE_FAILED', /was killed by SIGKILL after/],
    ['a signal', [said('Streaming ./db/t.ibd')], { signal: 'SIGSEGV' }, 'ENGINE_FAILED', /was killed by SIGSEGV/],
    [
      'no server',
      [said("Failed to connect to MariaDB server: Can't connect to local server through socket '/x' (2).")],
      {},
      'ENGINE_FAILED',
      /could not reach the server: Can't connect/,
    ],
    [
      'an old name of the server',
      [said("Failed to connect to MySQL server: Access denied for user 'a'@'b'.")],
      {},
      'ENGINE_LOGIN',
      /Access denied/,
    ],
    [
      'a locked account',
      [said('Failed to connect to MariaDB server: Access denied, this account is locked.')],
      {},
      'ENGINE_LOGIN',
      /locked/,
    ],
    [
      'too many connections',
      [said('Failed to connect to MariaDB server: Too many connections.')],
      {},
      'ENGINE_FAILED',
      /Too many connections/,
    ],
    [
      'a command denied',
      [said("failed to execute query: SELECT command denied to user 'a'@'b'")],
      {},
      'ENGINE_PRIVILEGE',
      /lacks SELECT/,
    ],
    [
      'only SUPER would do',
      [said('Access denied; you need (at least one of) the SUPER privilege(s) for this operation')],
      {},
      'ENGINE_PRIVILEGE',
      /lacks SUPER/,
    ],
    [
      'an unknown option',
      ["mariadb-backup: unknown variable 'bogus=1'"],
      { exitCode: 2 },
      'ENGINE_FAILED',
      /exited with 2: mariadb-backup: unknown variable/,
    ],
  ])('with %s', (_, lines, end, code, message) => {
    expect(classify(lines, end)).toMatchObject({
      code,
      message: expect.stringMatching(message),
      hint: expect.any(String),
    })
  })

  test('that never began because of a lock is told like a second backup of the same agent, and by whom', () => {
    const failure = classify([], { exitCode: 75 }, undefined, {
      lock: { path: '/srv/database', isHeld: true, holder: 4711 },
    })

    expect(failure).toMatchObject({
      code: 'JOB_BUSY',
      message: 'busy: another backup of this server is running (pid 4711)',
      facts: { lock: '/srv/database', holder: 4711 },
      hint: 'wait for it to end; it holds the lock on /srv/database: see ps -fp 4711',
    })
  })

  test('that never began because of a lock whose holder cannot be seen says how to find it', () => {
    const lock = { path: '/srv/database', isHeld: true }

    expect(classify([], { exitCode: 75 }, undefined, { lock })).toMatchObject({
      code: 'JOB_BUSY',
      message: 'busy: another backup of this server is running',
      facts: { holder: null },
      hint: expect.stringMatching(/lslocks/),
    })
  })

  test.each([
    [
      'a lock that cannot be tried for',
      ['flock: /srv/database: Bad file descriptor'],
      { exitCode: 65 },
      'ENGINE_LOCK',
      /check that the agent may read \/srv\/database/,
    ],
    [
      'a program that flock cannot start',
      ['flock: failed to execute /usr/bin/mariadb-backup: Permission denied'],
      { exitCode: 69 },
      'ENGINE_FAILED',
      /in the log/,
    ],
    ['words of its own about a lock', [said('Unable to obtain lock.')], { exitCode: 1 }, 'ENGINE_FAILED', /another/],
  ])('tells apart: %s', (_, lines, end, code, hint) => {
    const lock = { path: '/srv/database', isHeld: false }

    expect(classify(lines, end, undefined, { lock })).toMatchObject({ code, hint: expect.stringMatching(hint) })
  })

  test('that was cancelled while the lock was held elsewhere is cancelled', () => {
    const lock = { path: '/srv/database', isHeld: true }

    expect(classify([], { exitCode: 75 }, new Error('stop'), { lock })).toMatchObject({ code: 'JOB_CANCELLED' })
  })

  test('in a redo overrun says what was copied, what was wanted, and how large the log must be', () => {
    const failure = classify(recorded('redo-overrun'), {}, undefined, { redoCapacityBytes: 4 * 1024 * 1024 })

    expect(failure).toMatchObject({
      code: 'ENGINE_REDO_OVERRUN',
      facts: {
        copiedFrom: '18395807',
        copiedTo: '20051467',
        wanted: '140693312',
        neededBytes: 122_297_505,
        redoCapacityBytes: 4_194_304,
      },
    })
    // 117 MiB and half as much again, up to the next 16.
    expect(failure?.hint).toMatch(
      /needed 117 MiB and has 4 MiB: SET GLOBAL innodb_log_file_size=184549376 does it at once/,
    )
    expect(failure?.hint).toMatch(/ innodb_log_file_size=176M in the server's option file /)
  })

  test.each([
    ['without numbers', 'log has wrapped around', {}],
    ['with numbers that cannot be', 'Was only able to copy log from 9 to 8, not 7', { copiedFrom: '9', wanted: '7' }],
    [
      'with numbers beyond 2^53',
      'Was only able to copy log from 18446744073700000000 to 18446744073705000000, not 18446744073709551615',
      { copiedFrom: '18446744073700000000', wanted: '18446744073709551615', neededBytes: 9_551_615 },
    ],
    [
      'with a range beyond 2^53',
      'Was only able to copy log from 0 to 1, not 18446744073709551615',
      { copiedFrom: '0', wanted: '18446744073709551615' },
    ],
  ])('in a redo overrun told %s names the setting all the same', (_, text, facts) => {
    const failure = classify([said(text)])

    expect(failure).toMatchObject({
      code: 'ENGINE_REDO_OVERRUN',
      facts,
      hint: expect.stringMatching(/innodb_log_file_size/),
    })
    expect('neededBytes' in (failure?.facts ?? {})).toBe('neededBytes' in facts)
  })

  test('of xtrabackup in a redo overrun names the setting of MySQL', () => {
    const words = new WordsReader(XTRABACKUP_WORDS, redactor(undefined))
    words.take('2024-03-01T10:00:00.1-00:00 0 [ERROR] [MY-011825] [Xtrabackup] log block numbers mismatch:')
    const end = { exitCode: 1, signal: undefined }
    const failure = classifyFailure({ name: 'xtrabackup', user: 'u', end, seen: words.seen(), cancelled: undefined })

    expect(failure).toMatchObject({
      code: 'ENGINE_REDO_OVERRUN',
      hint: expect.stringMatching(/innodb_redo_log_capacity/),
    })
  })

  test('is told by the decisive line though a flood came after it', () => {
    const flood = Array.from({ length: 20_000 }, (_, line) => said(`Streaming ./db/t${line}.ibd`))

    expect(classify([...recorded('wrong-password'), ...flood])).toMatchObject({ code: 'ENGINE_LOGIN' })
  })

  test('carries no password hash', () => {
    const failure = classify(recorded('no-privilege'))

    expect(JSON.stringify([failure?.message, failure?.hint, failure?.facts])).not.toMatch(/[0-9A-F]{40}/i)
  })

  test('is the reason of a cancel, when it was cancelled', () => {
    const reason = new BackupError('JOB_CLIENT_GONE', 'the client went away')

    expect(classify(recorded('no-privilege'), { signal: 'SIGINT' }, reason)).toBe(reason)
    expect(classify([], { signal: 'SIGINT' }, new Error('stop'))).toMatchObject({ code: 'JOB_CANCELLED' })
  })

  test('is a success all the same when the cancel came too late', () => {
    expect(classify(recorded('complete'), { exitCode: 0 }, new Error('stop'))).toBeUndefined()
  })
})
