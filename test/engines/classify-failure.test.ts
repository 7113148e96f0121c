import { describe, expect, test } from '@jest/globals'

import type { ChildEnd } from '../../lib/engines/child.ts'
import { classifyFailure } from '../../lib/engines/classify-failure.ts'
import { MARIADB_WORDS } from '../../lib/engines/mariadb-words.ts'
import { redactor } from '../../lib/engines/redaction.ts'
import { WordsReader } from '../../lib/engines/words-reader.ts'
import { BackupError } from '../../lib/errors/index.ts'
import { recorded } from './stand-ins.ts'

const classify = (
  lines: readonly string[],
  end: Partial<ChildEnd> = {},
  cancelled?: unknown,
): BackupError | undefined => {
  const words = new WordsReader(MARIADB_WORDS, redactor(undefined))
  for (const line of lines) words.take(line)
  const whole = { exitCode: 'signal' in end ? undefined : 1, signal: undefined, ...end }
  return classifyFailure({ name: 'mariadb-backup', user: 'backup', end: whole, seen: words.seen(), cancelled })
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
