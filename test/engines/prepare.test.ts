import { readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'

import { afterAll, describe, expect, test } from '@jest/globals'

import { type PrepareOrder, prepareBackup } from '../../lib/engines/index.ts'
import { fixture, never, Scratch } from './stand-ins.ts'

const scratch = new Scratch()
afterAll(() => scratch.remove())

const OPTIONS =
  '# made by the program\n\n[mysqld]\ninnodb_page_size=16384\ninnodb_undo_directory=./\nserver_id=1\nredo_log_version=1\n'

let directories = 0
const unpacked = (files: Record<string, string>): string => {
  directories += 1
  const directory = scratch.directory(`unpacked-${directories}`)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
  return directory
}

const prepare = async (directory: string, more: Partial<PrepareOrder> = {}): Promise<string[]> => {
  const lines: string[] = []
  await prepareBackup({
    directory,
    engine: 'mariadb-backup',
    program: fixture('prepare-stand-in'),
    signal: never(),
    onLine: (line) => void lines.push(line),
    ...more,
  })
  return lines
}

describe('preparing a backup', () => {
  test("gives the program the backup's own options, first, and no others", async () => {
    const directory = unpacked({ 'backup-my.cnf': OPTIONS })

    const lines = await prepare(directory)

    expect(lines).toEqual([
      `--defaults-file=${join(directory, 'backup-my.cnf')}`,
      '--prepare',
      `--target-dir=${directory}`,
      expect.stringMatching(/completed OK!$/),
    ])
  })

  test('runs the program that a relative path means here, and not in the backup', async () => {
    const directory = unpacked({ 'backup-my.cnf': OPTIONS })

    const lines = await prepare(directory, { program: relative(process.cwd(), fixture('prepare-stand-in')) })

    expect(lines).toContain('--prepare')
  })

  test.each(['./nowhere/mariadb-backup', 'no-such-program-anywhere', '/'])(
    'says that %s is no program',
    async (program) => {
      await expect(prepare(unpacked({ 'backup-my.cnf': OPTIONS }), { program })).rejects.toMatchObject({
        code: 'ENGINE_NOT_FOUND',
      })
    },
  )

  test.each([
    [
      'an exit with 1',
      { broken: '' },
      /--prepare exited with 1 without "completed OK!": FATAL ERROR: the redo log is broken/,
    ],
    ['an exit with 0 without its word', { silent: '' }, /--prepare exited with 0 without "completed OK!"/],
  ])('takes %s for a failure', async (_, files, message) => {
    await expect(prepare(unpacked({ 'backup-my.cnf': OPTIONS, ...files }))).rejects.toMatchObject({
      code: 'ENGINE_PREPARE',
      message: expect.stringMatching(message),
    })
  })

  test.each([
    ['a plugin', 'plugin_load=evil.so'],
    ['a plugin, in other letters', 'Plugin-Load-Add = evil.so'],
    ['a plugin, abbreviated', 'plugin-di=/srv'],
    ['a plugin, loosely', 'loose-plugin-dir=/srv'],
    ['another option file', '!include /etc/passwd'],
    ['a directory of option files', '  !includedir /etc'],
    ['a group of its own', '[xtrabackup]'],
    ['an option that is none of a backup', 'tmpdir=/srv'],
  ])('refuses a backup whose options name %s, and starts nothing', async (_, line) => {
    const directory = unpacked({ 'backup-my.cnf': `${OPTIONS}${line}\n` })

    await expect(prepare(directory)).rejects.toMatchObject({ code: 'ENGINE_PREPARE', facts: { line: 8 } })
  })

  test.each([
    ['there are none', {}, /cannot be read in the backup: ENOENT/],
    ['they are absurdly long', { 'backup-my.cnf': '#'.repeat(65_537) }, /has 65537 bytes/],
  ])('refuses a backup without its options: %s', async (_, files, message) => {
    await expect(prepare(unpacked(files))).rejects.toMatchObject({
      code: 'ENGINE_PREPARE',
      message: expect.stringMatching(message),
    })
  })

  test('is stopped by its signal, with its reason', async () => {
    const directory = unpacked({ 'backup-my.cnf': OPTIONS })
    const abort = new AbortController()
    const reason = new Error('stop')
    const preparing = prepareBackup({
      directory,
      engine: 'mariadb-backup',
      program: fixture('never-starts-talking'),
      signal: abort.signal,
      onLine: () => {},
    })

    abort.abort(reason)

    await expect(preparing).rejects.toBe(reason)
    expect(readFileSync(join(directory, 'backup-my.cnf'), 'utf8')).toBe(OPTIONS)
  })
})

describe('preparing a backup that increments are applied to', () => {
  const LOG_ONLY = '--apply-log-only'

  test.each([
    ['mariadb-backup', true, []],
    ['mariadb-backup', false, []],
    ['xtrabackup', true, [LOG_ONLY]],
    ['xtrabackup', false, []],
  ] as const)('%s, with more to come: %s', async (engine, isMoreToCome, options) => {
    const directory = unpacked({ 'backup-my.cnf': OPTIONS })
    const incrementDirectory = unpacked({ 'backup-my.cnf': OPTIONS })

    const base = await prepare(directory, { engine, isMoreToCome })
    const increment = await prepare(directory, { engine, isMoreToCome, incrementDirectory })

    const always = [`--defaults-file=${join(directory, 'backup-my.cnf')}`, '--prepare', ...options]
    expect(base.slice(0, -1)).toEqual([...always, `--target-dir=${directory}`])
    expect(increment.slice(0, -1)).toEqual([
      ...always,
      `--target-dir=${directory}`,
      `--incremental-dir=${incrementDirectory}`,
    ])
  })

  test('refuses an increment whose options name a plugin, and starts nothing', async () => {
    const directory = unpacked({ 'backup-my.cnf': OPTIONS })
    const incrementDirectory = unpacked({ 'backup-my.cnf': `${OPTIONS}plugin_load=evil.so\n` })

    await expect(prepare(directory, { incrementDirectory })).rejects.toMatchObject({
      code: 'ENGINE_PREPARE',
      facts: { line: 8 },
    })
  })
})
