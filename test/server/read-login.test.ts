import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { resolveLogin } from '../../lib/server/read-login.ts'

let scratch: string
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'read-login-'))
})
afterAll(() => rmSync(scratch, { recursive: true }))

const optionFile = (text: string, name = 'login.cnf'): string => {
  const path = join(scratch, name)
  writeFileSync(path, text, { mode: 0o600 })
  return path
}

test('takes what the client said before what stands in the option file', async () => {
  const defaultsFile = optionFile('[client]\nuser=operator\npassword=op\nsocket=/run/a.sock\n')

  expect(await resolveLogin({ defaultsFile })).toEqual({ socket: '/run/a.sock', user: 'operator', password: 'op' })
  expect(await resolveLogin({ defaultsFile, user: 'client', password: '', socket: '/run/b.sock' })).toEqual({
    socket: '/run/b.sock',
    user: 'client',
    password: '',
  })
})

test('lets the group of the backup program win, wherever it stands, and reads no other', async () => {
  const defaultsFile = optionFile(
    '[mariadb-backup]\nuser=program\n[client]\nuser=client\nsocket=/run/a.sock\n[mysqld]\nuser=mysql\n',
  )

  expect(await resolveLogin({ defaultsFile })).toMatchObject({ user: 'program' })
})

test('follows includes', async () => {
  mkdirSync(join(scratch, 'conf.d'))
  optionFile('[client]\npassword=included\n', 'conf.d/login.cnf')
  optionFile('[client]\npassword=passed over\n', 'conf.d/login.cnf.bak')
  const defaultsFile = optionFile('!includedir conf.d\n[client]\nsocket=/run/a.sock\n')

  expect(await resolveLogin({ defaultsFile })).toMatchObject({ password: 'included' })
})

test('is the user that we run as, without a password, when nobody says another', async () => {
  expect(await resolveLogin({ socket: '/run/a.sock' })).toEqual({
    socket: '/run/a.sock',
    user: userInfo().username,
    password: '',
  })
})

test.each<[string, () => string, RegExp]>([
  ['is not there', () => join(scratch, 'nowhere.cnf'), /ENOENT/],
  ['is a directory', () => scratch, /not a file/],
  [
    'everyone may write to',
    () => {
      const path = optionFile('[client]\n', 'lax.cnf')
      chmodSync(path, 0o666)
      return path
    },
    /everyone may write/,
  ],
  [
    'its group may write to',
    () => {
      const path = optionFile('[client]\n', 'lax-group.cnf')
      chmodSync(path, 0o660)
      return path
    },
    /its group may write/,
  ],
  [
    'everyone may read, with a password in it',
    () => {
      const path = optionFile('[client]\npassword=x\n', 'readable.cnf')
      chmodSync(path, 0o644)
      return path
    },
    /there is a password in it, and everyone may read it \(mode 0644\)/,
  ],
  [
    'includes another that everyone may read, with a password in it',
    () => {
      const included = optionFile('[mysqldump]\nloose_password = x\n', 'included.cnf')
      chmodSync(included, 0o604)
      return optionFile(`!include ${included}\n`, 'including.cnf')
    },
    /included\.cnf cannot be used: there is a password in it/,
  ],
  ['includes itself', () => optionFile(`!include ${join(scratch, 'loop.cnf')}\n`, 'loop.cnf'), /files deep/],
])('refuses an option file that %s', async (_, make, why) => {
  const refusal = resolveLogin({ defaultsFile: make() })

  await expect(refusal).rejects.toMatchObject({ code: 'ENGINE_DEFAULTS_FILE' })
  await expect(refusal).rejects.toThrow(why)
})

test('takes a file without a password, whoever may read it', async () => {
  const defaultsFile = optionFile('[client]\nsocket=/run/a.sock\npassword=\n', 'public.cnf')
  chmodSync(defaultsFile, 0o644)

  expect(await resolveLogin({ defaultsFile })).toMatchObject({ socket: '/run/a.sock' })
})

test('asks no server that is only to be reached over TCP', async () => {
  const defaultsFile = optionFile('[client]\nhost=192.0.2.7\n')

  await expect(resolveLogin({ defaultsFile })).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' })
})
