import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { afterAll, describe, expect, test } from '@jest/globals'

import { type EngineSettings, findEngine } from '../../lib/engines/index.ts'
import { Scratch } from './stand-ins.ts'

const scratch = new Scratch()
afterAll(() => scratch.remove())

const EMPTY = scratch.directory('empty')
const find = (more: Partial<EngineSettings>) =>
  findEngine(scratch.settings({ engine: 'auto', searchPath: EMPTY, ...more }))

describe('finding an engine', () => {
  test('finds the real mariadb-backup of this host, and its version', async () => {
    const { identity, needsLogin } = await findEngine(scratch.settings({ engine: 'auto' }))

    expect(identity).toMatchObject({ name: 'mariadb-backup', version: expect.stringMatching(/^\d+\.\d+\.\d+$/) })
    expect(identity.program).toMatch(/^\/.*\/mariadb-backup$/)
    expect(needsLogin).toBe(true)
  })

  test.each([
    [
      'mariadb-backup before everything else',
      { 'mariadb-backup': 'says-ok-but-exits-1', xtrabackup: 'xtrabackup-8-stand-in' },
      'mariadb-backup',
      '10.11.19',
    ],
    [
      'mariabackup, its older name',
      { mariabackup: 'says-ok-but-exits-1', xtrabackup: 'xtrabackup-8-stand-in' },
      'mariadb-backup',
      '10.11.19',
    ],
    [
      'xtrabackup when the first one does not run',
      { 'mariadb-backup': 'not-a-backup-program', xtrabackup: 'xtrabackup-8-stand-in' },
      'xtrabackup',
      '8.0.35-31',
    ],
  ])('takes %s', async (_, programs, name, version) => {
    const { identity } = await find({ searchPath: scratch.searchPath(programs) })

    expect(identity).toMatchObject({ name, version })
  })

  test('takes xtrabackup when it is asked for', async () => {
    const searchPath = scratch.searchPath({
      'mariadb-backup': 'says-ok-but-exits-1',
      xtrabackup: 'xtrabackup-8-stand-in',
    })

    expect((await find({ engine: 'xtrabackup', searchPath })).identity.name).toBe('xtrabackup')
  })

  test('takes a directory that was given, whatever is installed', async () => {
    const { identity, needsLogin } = await find({ directory: EMPTY })

    expect(identity).toEqual({ name: 'directory', version: '1', program: undefined })
    expect(needsLogin).toBe(false)
  })

  test('passes over what is not executable, and over relative directories of the search path', async () => {
    const bin = scratch.directory('not-executable')
    writeFileSync(join(bin, 'mariadb-backup'), '#!/bin/sh\n')
    mkdirSync(join(bin, 'mariabackup'))

    await expect(find({ searchPath: `.:bin:${bin}` })).rejects.toMatchObject({
      code: 'ENGINE_NOT_FOUND',
      facts: { directories: [bin] },
    })
  })

  test.each([
    [
      'auto',
      /mariadb-backup, mariabackup, xtrabackup in .*empty/,
      /apt-get install mariadb-backup; or use --directory/,
    ],
    ['mariadb-backup', /mariadb-backup, mariabackup in .*empty/, /apt-get install mariadb-backup$/],
    ['xtrabackup', /looked for xtrabackup in .*empty/, /percona-xtrabackup/],
    ['directory', /needs a directory/, /--directory DIR/],
  ] as const)('says what it looked for and what to do: %s', async (engine, message, hint) => {
    await expect(find({ engine })).rejects.toMatchObject({
      code: 'ENGINE_NOT_FOUND',
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    })
  })

  test.each([
    [
      'a program that says no version',
      { 'mariadb-backup': 'not-a-backup-program' },
      'mariadb-backup',
      /does not say a version of mariadb-backup.*frobnicate/,
    ],
    [
      'the other family under this name',
      { xtrabackup: 'says-ok-but-exits-1' },
      'xtrabackup',
      /does not say a version of xtrabackup/,
    ],
  ] as const)('refuses %s', async (_, programs, engine, message) => {
    await expect(find({ engine, searchPath: scratch.searchPath(programs) })).rejects.toMatchObject({
      code: 'ENGINE_UNUSABLE',
      message: expect.stringMatching(message),
    })
  })

  test.each([
    [
      'an xtrabackup too old',
      '#!/bin/sh\necho "xtrabackup version 2.4.29 based on MySQL server 5.7.44"\n',
      /version 2\.4\.29, expected 8 or later/,
    ],
    ['a program whose interpreter is missing', '#!/nonexistent/interpreter\n', /does not say a version/],
    ['a program that floods', '#!/bin/sh\nexec yes xtrabackup\n', /does not say a version/],
  ])('refuses %s', async (_, script, message) => {
    const bin = scratch.directory(`bin-${script.length}`)
    writeFileSync(join(bin, 'xtrabackup'), script)
    chmodSync(join(bin, 'xtrabackup'), 0o755)

    await expect(find({ searchPath: `${bin}:/usr/bin-none:${EMPTY}`, engine: 'xtrabackup' })).rejects.toMatchObject({
      code: 'ENGINE_UNUSABLE',
      message: expect.stringMatching(message),
    })
  })

  test.each([
    ['is not there', 'missing', /missing cannot be read: ENOENT/],
    ['is a file', 'file', /file is not a directory/],
  ])('refuses a directory that %s', async (_, name, message) => {
    writeFileSync(join(scratch.path, 'file'), '')

    await expect(find({ directory: join(scratch.path, name) })).rejects.toMatchObject({
      code: 'ENGINE_DIRECTORY',
      message: expect.stringMatching(message),
    })
  })

  test('takes a directory through a symbolic link', async () => {
    symlinkSync(EMPTY, join(scratch.path, 'link'))

    expect((await find({ directory: join(scratch.path, 'link') })).identity.name).toBe('directory')
  })
})
