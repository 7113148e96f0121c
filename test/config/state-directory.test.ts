/** Where does the agent remember, when nobody says where? */

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

import { belongsTo } from '../../lib/config/state-directory.ts'
import { defaultStateDirectory, ownStateDirectory } from '../../lib/config/index.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'state-directory-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

const SYSTEM = '/var/lib/kv-backup-agent'
const HOME = { HOME: '/home/a' }

test.each<[string, Record<string, string>, number, boolean, string]>([
  ['what systemd gave', { STATE_DIRECTORY: '/var/lib/x', ...HOME }, 1000, true, '/var/lib/x'],
  ['what systemd gave, for root too', { STATE_DIRECTORY: '/var/lib/x' }, 0, true, '/var/lib/x'],
  ['the first that systemd gave', { STATE_DIRECTORY: '/var/lib/x:/var/lib/y' }, 1000, false, '/var/lib/x'],
  ['the system’s, for root', { XDG_STATE_HOME: '/state', ...HOME }, 0, false, SYSTEM],
  ['the system’s, for its owner', { XDG_STATE_HOME: '/state', ...HOME }, 1000, true, SYSTEM],
  ['the user’s', { XDG_STATE_HOME: '/state', ...HOME }, 1000, false, '/state/kv-backup-agent'],
  ['the user’s, without a home', { XDG_STATE_HOME: '/state' }, 1000, false, '/state/kv-backup-agent'],
  ['the usual one of the user', HOME, 1000, false, '/home/a/.local/state/kv-backup-agent'],
  [
    'the usual one when none is set',
    { STATE_DIRECTORY: '', XDG_STATE_HOME: '', ...HOME },
    1000,
    false,
    `${HOME.HOME}/.local/state/kv-backup-agent`,
  ],
  [
    'the usual one instead of a relative one',
    { XDG_STATE_HOME: 'state', ...HOME },
    1000,
    false,
    `${HOME.HOME}/.local/state/kv-backup-agent`,
  ],
  [
    'the system’s instead of a relative one',
    { STATE_DIRECTORY: 'x', XDG_STATE_HOME: 's', HOME: 'h' },
    1000,
    false,
    SYSTEM,
  ],
  ['the system’s, for whoever has no home', {}, 1000, false, SYSTEM],
])('%s', (_, environment, uid, isUsable, expected) => {
  const asked: string[] = []

  const found = defaultStateDirectory(environment, uid, (path) => {
    asked.push(path)
    return isUsable
  })

  expect(found).toBe(expected)
  for (const path of asked) expect(path).toBe(SYSTEM)
})

test('a directory is ours when it is one, and belongs to us, and is no link', () => {
  const uid = process.geteuid?.() ?? 0
  const [made, file, link] = [join(directory, 'made'), join(directory, 'file'), join(directory, 'link')]
  mkdirSync(made)
  writeFileSync(file, '')
  symlinkSync(made, link)

  expect(belongsTo(uid, made)).toBe(true)
  expect(belongsTo(uid + 1, made)).toBe(false)
  for (const path of [file, link, join(directory, 'missing'), join(file, 'below')]) {
    expect(belongsTo(uid, path)).toBe(false)
  }
})

test('a process asks its own environment, and makes nothing', () => {
  process.env['STATE_DIRECTORY'] = join(directory, 'state')

  try {
    expect(ownStateDirectory()).toBe(join(directory, 'state'))
  } finally {
    delete process.env['STATE_DIRECTORY']
  }

  expect(belongsTo(process.geteuid?.() ?? 0, join(directory, 'state'))).toBe(false)
})
