import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { afterAll, describe, expect, test } from '@jest/globals'

import { openOptionFile, optionFileText } from '../../lib/engines/option-file.ts'
import { ODD_PASSWORDS } from './odd-passwords.ts'
import { Scratch } from './stand-ins.ts'

const scratch = new Scratch()
afterAll(() => scratch.remove())

/** What MariaDB's own parser of option files makes of a text. */
const asRead = (text: string, group: string): string[] => {
  const path = join(scratch.path, 'options.cnf')
  writeFileSync(path, text, { mode: 0o600 })
  return execFileSync('my_print_defaults', [`--defaults-file=${path}`, group], { encoding: 'utf8' })
    .replace(/\n$/, '')
    .split('\n')
}

describe('the text of the option file', () => {
  test.each(ODD_PASSWORDS)("comes back from MariaDB's own parser: password %j", (password) => {
    const text = optionFileText({ user: 'backup', password })

    expect(asRead(text, 'client')).toEqual(['--user=backup', `--password=${password}`])
    expect(asRead(text, 'xtrabackup')).toEqual(['--user=backup', `--password=${password}`])
  })

  test('is empty groups for a login that the server knows by the socket', () => {
    expect(optionFileText({})).toBe('[client]\n[xtrabackup]\n')
  })

  test("gives the login the last word over the operator's own file", () => {
    const include = join(scratch.path, 'operator.cnf')
    writeFileSync(include, '[client]\nuser=theirs\nsocket=/run/theirs\n[xtrabackup]\nuser=theirs\n')

    const text = optionFileText({ user: 'ours' }, include)

    expect(asRead(text, 'client')).toEqual(['--user=theirs', '--socket=/run/theirs', '--user=ours'])
    expect(asRead(text, 'xtrabackup').at(-1)).toBe('--user=ours')
  })

  test.each([['plain.cnf'], ['with space.cnf'], ['hash#semi;colon.cnf'], ['quote"s\'.cnf'], ['ünïcode.cnf']])(
    "includes the operator's file whatever its name is: %s",
    (name) => {
      const directory = join(scratch.path, 'own files')
      mkdirSync(directory, { recursive: true })
      writeFileSync(join(directory, name), '[client]\nsocket=/run/theirs\n')

      expect(asRead(optionFileText({}, join(directory, name)), 'client')).toEqual(['--socket=/run/theirs'])
    },
  )

  test.each([
    ['an empty user', { user: '' }],
    ['a user that looks like an option', { user: '--plugin-dir=x' }],
    ['a user with a line end', { user: 'a\nb' }],
    ['a user with a quote', { user: 'a"b' }],
    ['a user with a blank', { user: 'a b' }],
    ['a user of 65 characters', { user: 'a'.repeat(65) }],
    ['a password with NUL', { password: 'pass\u0000word' }],
    ['a password with LF, which would begin an option of its own', { password: 'x\nplugin-dir=/srv' }],
    ['a password with CR', { password: 'pass\rword' }],
    ['a password with another control character', { password: 'pass\u0007word' }],
    ['a password with DEL', { password: 'pass\u007fword' }],
    ['a password with half a character', { password: 'pass\ud83dword' }],
    ['a password of 1025 bytes', { password: 'x'.repeat(1025) }],
  ])('refuses %s, without repeating it', (_, login) => {
    const value = Object.values(login)[0] ?? ''
    let refusal: unknown
    try {
      optionFileText(login)
    } catch (error) {
      refusal = error
    }

    expect(refusal).toMatchObject({ code: 'ENGINE_LOGIN_INVALID' })
    if (value.length > 0)
      expect(JSON.stringify([(refusal as Error).message, refusal])).not.toContain(JSON.stringify(value).slice(1, -1))
  })

  test.each([
    ['a relative path', 'my.cnf'],
    ['a path with a line end', '/etc/a\n[client]'],
    ['a path that ends with a blank', '/etc/my.cnf '],
    ['a path longer than the parser reads', `/${'x'.repeat(500)}`],
  ])("refuses an operator's file with %s", (_, include) => {
    expect(() => optionFileText({}, include)).toThrow(expect.objectContaining({ code: 'ENGINE_DEFAULTS_FILE' }))
  })
})

describe('the option file', () => {
  test('has no name, is for us alone, and can be opened again through its descriptor', async () => {
    const file = await openOptionFile(scratch.runtimeDirectory, { user: 'backup', password: 'secret' })

    const { nlink, mode } = await file.stat()
    const again = readFileSync(`/proc/self/fd/${file.fd}`, 'utf8')
    await file.close()

    expect({ nlink, mode: mode & 0o777 }).toEqual({ nlink: 0, mode: 0o600 })
    expect(readdirSync(scratch.runtimeDirectory)).toEqual([])
    expect(again).toBe(optionFileText({ user: 'backup', password: 'secret' }))
  })

  test.each([
    ['that is not there', 'missing.cnf', () => {}],
    [
      'that everyone may write to',
      'open.cnf',
      (path: string) => {
        writeFileSync(path, '')
        chmodSync(path, 0o666)
      },
    ],
    ['that is a directory', 'directory.cnf', (path: string) => mkdirSync(path)],
  ])("refuses an operator's file %s, which the program would pass over", async (_, name, make) => {
    const path = join(scratch.path, name)
    make(path)

    await expect(openOptionFile(scratch.runtimeDirectory, {}, path)).rejects.toMatchObject({
      code: 'ENGINE_DEFAULTS_FILE',
    })
    expect(readdirSync(scratch.runtimeDirectory)).toEqual([])
  })
})
