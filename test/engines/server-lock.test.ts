import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, readdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { afterAll, describe, expect, test } from '@jest/globals'

import { mustRun } from '../rig/run-program.ts'
import { guardWords, LOCK_HELD_EXIT } from '../../lib/engines/host-guards.ts'
import { hostGuards } from '../../lib/engines/index.ts'
import { findLockHolder, findServerLock } from '../../lib/engines/server-lock.ts'
import { fixture, Scratch } from './stand-ins.ts'

const scratch = new Scratch()
afterAll(() => scratch.remove())

const fileFor = (identity: string): string =>
  `server-${createHash('sha256').update(identity).digest('hex').slice(0, 32)}.lock`

describe('what stands around a backup program', () => {
  test('is there on a host with util-linux', () => {
    expect(hostGuards()).toEqual({ pdeathsig: true, lock: true })
  })

  test('is a lock only where one is asked for', () => {
    const words = guardWords(undefined)
    expect(words.slice(0, 4)).toEqual(['/usr/bin/setpriv', '--pdeathsig', 'KILL', '--'])
    expect(words).not.toContain('/usr/bin/flock')
    expect(guardWords('/srv/database').slice(words.length)).toEqual([
      '/usr/bin/flock',
      '-n',
      '-E',
      `${LOCK_HELD_EXIT}`,
      '-F',
      '--',
      '/srv/database',
    ])
  })
})

describe('a program whose starter', () => {
  const [program = '', ...words] = [...guardWords(undefined), '/bin/echo', 'it', 'runs']

  test('is alive begins', async () => {
    const { stdout } = await mustRun(program, words)

    expect(stdout.toString()).toBe('it runs\n')
  })

  test('was gone before the kernel could be asked to tell does not begin', async () => {
    const { stdout } = await mustRun('sh', ['-c', '"$@"; echo "ended with $?"', 'sh', program, ...words]) // not we are its parent

    expect(stdout.toString()).toBe('ended with 1\n')
  })
})

describe('the lock of a server', () => {
  const locks = realpathSync(scratch.directory('locks'))
  const data = realpathSync(scratch.directory('data'))
  const socket = join(data, 'server.sock')
  writeFileSync(socket, '')
  symlinkSync(data, join(scratch.path, 'link-to-data'))
  symlinkSync(socket, join(scratch.path, 'link-to-socket'))
  writeFileSync(join(scratch.path, 'a-file'), '')

  test.each([
    ['the data directory itself', { datadir: data, lockDirectory: locks, socket }, data],
    ['the data directory behind a link', { datadir: join(scratch.path, 'link-to-data') }, data],
    ['a file for the socket', { socket, lockDirectory: locks }, join(locks, fileFor(socket))],
    [
      'the same file for a link to the socket',
      { socket: join(scratch.path, 'link-to-socket'), lockDirectory: locks },
      join(locks, fileFor(socket)),
    ],
    [
      'a file for a socket that is not there yet',
      { socket: '/nonexistent/server.sock', lockDirectory: locks },
      join(locks, fileFor('/nonexistent/server.sock')),
    ],
    [
      "a file for the operator's option file",
      { defaultsFile: socket, lockDirectory: locks },
      join(locks, fileFor(socket)),
    ],
    ['a file for the default server', { lockDirectory: locks }, join(locks, fileFor('default'))],
    [
      'a file, when the data directory is not there',
      { datadir: '/nonexistent', lockDirectory: locks },
      join(locks, fileFor('default')),
    ],
    [
      'a file, when the data directory is none',
      { datadir: join(scratch.path, 'a-file'), lockDirectory: locks },
      join(locks, fileFor('default')),
    ],
    ['nothing, when neither is known', { socket }, undefined],
    ['nothing, when the data directory is not there', { datadir: '/nonexistent' }, undefined],
  ])('is %s', async (_, where, lock) => {
    expect(await findServerLock(where)).toBe(lock)
  })

  test('is a file that only we can open, stays empty, and is used again', async () => {
    const lockDirectory = scratch.directory('fresh')

    const first = (await findServerLock({ lockDirectory })) ?? ''
    const before = lstatSync(first)
    const second = await findServerLock({ lockDirectory })

    expect(before.mode & 0o7777).toBe(0o600)
    expect(second).toBe(first)
    expect(lstatSync(first)).toMatchObject({ ino: before.ino, size: 0 })
    expect(readdirSync(lockDirectory)).toHaveLength(1)
  })

  test('leaves no file where the data directory itself is locked', async () => {
    const lockDirectory = scratch.directory('unused')

    await findServerLock({ datadir: data, lockDirectory })

    expect([readdirSync(lockDirectory), readdirSync(data)]).toEqual([[], ['server.sock']])
  })

  test.each([
    ['a link', (path: string) => symlinkSync('/etc/hosts', path), /ELOOP/],
    ['a directory', (path: string) => mkdirSync(path), /EISDIR/],
    ['a FIFO', (path: string) => void execFileSync('mkfifo', [path]), /it is not a file/],
  ])('is refused when there is %s in its place', async (kind, make, problem) => {
    const lockDirectory = scratch.directory(`taken by ${kind}`)
    make(join(lockDirectory, fileFor('default')))

    await expect(findServerLock({ lockDirectory })).rejects.toMatchObject({
      code: 'ENGINE_LOCK',
      message: expect.stringMatching(problem),
      hint: expect.stringContaining(lockDirectory),
    })
  })

  test('is refused when its directory is not there', async () => {
    await expect(findServerLock({ lockDirectory: join(scratch.path, 'nowhere') })).rejects.toMatchObject({
      code: 'ENGINE_LOCK',
      message: expect.stringMatching(/ENOENT/),
    })
  })
})

describe('whoever holds a lock', () => {
  test('is nobody when nobody does, and when there is nothing to hold', async () => {
    expect(await findLockHolder(scratch.directory('free'))).toBeUndefined()
    expect(await findLockHolder(join(scratch.path, 'nowhere'))).toBeUndefined()
  })

  test('is seen, and is no server: its lock is of another kind', async () => {
    const lock = scratch.directory('held')
    // It asks while it holds the lock, and says what it sees.
    const modules = ['server-lock', 'running-server'].map((name) =>
      JSON.stringify(new URL(`../../lib/engines/${name}.js`, import.meta.url).href),
    )
    const script = `
      import { statSync } from 'node:fs'
      import { findLockHolder } from ${modules[0]}
      import { findLockedFile } from ${modules[1]}
      const { dev: device, ino: inode } = statSync(process.argv[1], { bigint: true })
      const server = await findLockedFile([{ path: process.argv[1], device, inode }])
      console.log(JSON.stringify([(await findLockHolder(process.argv[1])) === process.pid, server ?? null]))`

    const said = execFileSync('flock', ['-F', lock, process.execPath, '--input-type=module', '-e', script, lock])

    expect(JSON.parse(said.toString())).toEqual([true, null])
  })
})

test('the stand-ins that end with the status of a held lock do so', () => {
  for (const name of ['says-words-and-exits-75', 'writes-and-exits-75']) {
    expect(readFileSync(fixture(name), 'utf8')).toMatch(new RegExp(`exit ${LOCK_HELD_EXIT}\\n$`))
  }
})
