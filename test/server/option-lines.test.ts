import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { readOptionLines } from '../../lib/server/option-lines.ts'

let scratch: string
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'option-lines-'))
})
afterAll(() => rmSync(scratch, { recursive: true }))

/** What the servers' own program makes of it. */
const printed = (text: string): string[] => {
  const path = join(scratch, 'some.cnf')
  writeFileSync(path, text, { mode: 0o600 })
  return execFileSync('my_print_defaults', [`--defaults-file=${path}`, 'client'])
    .toString()
    .split('\n')
    .filter((line) => line !== '')
}

const ours = (text: string): string[] =>
  readOptionLines(text, 'some.cnf').flatMap((line) =>
    line.kind === 'option' && line.group === 'client'
      ? [`--${line.name}${line.value === undefined ? '' : `=${line.value}`}`]
      : [],
  )

const VALUES = [
  'plain',
  'with blanks inside',
  '   blanks around   ',
  '"quoted"',
  "'single quotes'",
  '"half quoted',
  'half quoted"',
  '"a#b"',
  'a#comment',
  'a # comment',
  '"a" # comment',
  '"a\\"b"',
  '"a\\\\b"',
  '"a\\\\"',
  "'it''s'",
  '"it\'s"',
  'back\\slash',
  'back\\\\slash',
  'new\\sspace',
  '\\t',
  '"\\q stays"',
  'a;b',
  ';',
  '=equals=',
  '""',
  '',
  '"',
  'pässwört',
  '"\u{1f511}#"',
  'ends with a backslash\\',
]

test.each(VALUES)('reads password=%s as my_print_defaults does', (value) => {
  const text = `[client]\npassword=${value}\nuser = last\n`

  expect(ours(text)).toEqual(printed(text))
})

test('reads groups, comments, dashes and options without a value as my_print_defaults does', () => {
  const text = [
    '# comment',
    '; comment',
    '',
    '[mysqld]',
    'password=not this one',
    '[client] # comment',
    'default_character_set = utf8mb4',
    '  skip-password   # comment',
    '\tuser\t=\tbackup\t',
    '[ client]',
    'user=not this one',
    '[client ]',
    'socket=/run/x.sock',
  ].join('\n')

  expect(ours(text)).toEqual(printed(text).map((line) => line.replaceAll('_', '-')))
})

describe('what it cannot be sure of is refused, by the number of its line and without the line', () => {
  test.each([
    ['an option outside of a group', 'password=secret\n', 1],
    ['a group that is not closed', '[client\npassword=secret\n', 1],
    ['a directive it does not know', '[client]\n!exec secret\n', 2],
  ])('%s', (_, text, line) => {
    expect(() => readOptionLines(text, '/etc/some.cnf')).toThrow(
      expect.objectContaining({ code: 'ENGINE_DEFAULTS_FILE', facts: { path: '/etc/some.cnf', line } }),
    )
    expect(() => readOptionLines(text, '/etc/some.cnf')).not.toThrow(/secret/)
  })
})
