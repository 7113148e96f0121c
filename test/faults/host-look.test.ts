import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, openSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from '@jest/globals'

import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import {
  Canary,
  descendantsOf,
  everythingBelow,
  processesTouching,
  runs,
  type SeenProcess,
  untilNone,
} from './host-look.ts'

const scratch = makeGuardedDirectory('host-look')
afterAll(() => removeGuardedDirectory(scratch))

const directory = (name: string): string => {
  const path = join(scratch, name)
  mkdirSync(path)
  return path
}

/** A shell with a child of its own, and the means to end both. */
const startFamily = async (cwd: string, environment: Record<string, string> = {}) => {
  // It is the child that says so: a shell could say it before the child is another program.
  const child = spawn('sh', ['-c', 'echo there > said; tail -n 1 -f said & wait'], {
    cwd,
    env: { PATH: '/usr/bin:/bin', ...environment },
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  await once(child.stdout, 'data')
  const pid = child.pid ?? 0
  return { pid, end: () => process.kill(-pid, 'SIGKILL') }
}

const names = (processes: readonly SeenProcess[]): string[] =>
  processes.map(({ command }) => command.split(' ')[0] ?? '').sort()

describe('a process that was left', () => {
  test('is found by the directory that it works in, with its children', async () => {
    const cwd = directory('cwd')
    const { end } = await startFamily(cwd)

    const found = processesTouching(cwd)
    end()
    const { left } = await untilNone(() => processesTouching(cwd), 30_000)

    expect(names(found)).toEqual(['sh', 'tail'])
    expect(left).toEqual([])
  })

  test('is not found by a directory whose name begins alike', async () => {
    const cwd = directory('alike-19')
    const { end } = await startFamily(cwd)

    const found = processesTouching(join(scratch, 'alike-1'))
    end()

    expect(found).toEqual([])
  })

  test('is found as the child of a child', async () => {
    const family = await startFamily(scratch)

    const found = descendantsOf(process.pid)
    family.end()

    expect(names(found)).toEqual(expect.arrayContaining(['sh', 'tail']))
  })

  test('does not run any more when it was killed, also while it is a zombie', async () => {
    const family = await startFamily(scratch)
    const seen = descendantsOf(process.pid).filter(({ pid }) => pid === family.pid)

    const before = seen.map(runs)
    family.end()
    const { left } = await untilNone(() => seen.filter(runs), 30_000)

    expect({ before, left }).toEqual({ before: [true], left: [] })
  })

  test('is told apart from a later one with the same number', () => {
    const own = { pid: process.pid, startTicks: '1', command: 'somebody who is long gone' }

    expect(runs(own)).toBe(false)
  })

  test('is what is still there when the time is over', async () => {
    const { left } = await untilNone(() => ['an orphan'], 0)

    expect(left).toEqual(['an orphan'])
  })
})

describe('a file that was left', () => {
  test('is found at every depth, directories too', () => {
    const path = directory('left')
    mkdirSync(join(path, 'a', 'b'), { recursive: true })
    writeFileSync(join(path, 'a', 'b', '.hidden'), '')

    expect(everythingBelow(path)).toEqual(['a/', 'a/b/', 'a/b/.hidden'])
  })

  test('cannot be in a directory that is not there', () => {
    expect(everythingBelow(join(scratch, 'nowhere'))).toEqual([])
  })
})

describe('a secret', () => {
  const canary = new Canary('test')

  test.each([
    ['as it is', canary.secret],
    ['in an option file', `password="${canary.secret.replace(/[\\"]/g, '\\$&')}"`],
    ['in JSON', JSON.stringify({ password: canary.secret })],
    ['in SQL', `IDENTIFIED BY '${canary.secret.replace(/[\\"']/g, '\\$&')}'`],
    ['in SQL with its quotes doubled', `IDENTIFIED BY '${canary.secret.replaceAll("'", "''")}'`],
    ['in HEXADECIMAL', Buffer.from(canary.secret).toString('hex').toUpperCase()],
    ['in hexadecimal', Buffer.from(`password=${canary.secret}`).toString('hex')],
    ['in a URL', `mysql://backup:${encodeURIComponent(canary.secret)}@host`],
    ...[0, 1, 2].map((shift) => [
      `in base64, ${shift} bytes off`,
      Buffer.from(`${'u:'.slice(0, shift)}${canary.secret}!`).toString('base64'),
    ]),
  ])('is found %s', (_, text) => {
    expect(canary.foundIn(`before ${text} after`)).toBeDefined()
  })

  test('is not found where it is not', () => {
    expect(canary.foundIn(new Canary('other').secret)).toBeUndefined()
  })

  test('is found in a file, and said where', () => {
    const path = directory('secret')
    mkdirSync(join(path, 'deep'))
    writeFileSync(join(path, 'deep', 'option-file'), Buffer.concat([Buffer.from([0, 255]), Buffer.from(canary.secret)]))

    expect(canary.foundBelow(path)).toEqual(['the file deep/option-file (as it is)'])
  })

  test('is found in a file without a name that a process has open, unless it may be there', async () => {
    const cwd = directory('nameless')
    const path = join(cwd, 'login-0')
    writeFileSync(path, `password=${canary.secret}`)
    const child = spawn('sleep', ['600'], { cwd, stdio: ['ignore', 'ignore', 'ignore', openSync(path, 'r')] })
    unlinkSync(path)
    const seen = processesTouching(cwd)

    const found = canary.foundInOpenFiles(seen, () => false)
    const allowed = canary.foundInOpenFiles(seen, (target) => target === `${path} (deleted)`)
    child.kill('SIGKILL')

    expect(found).toEqual([expect.stringContaining(`${path} (deleted), open in "sleep 600`)])
    expect(allowed).toEqual([])
  })

  test('is found in the environment and in the arguments of a process', async () => {
    const cwd = directory('environment')
    const { end } = await startFamily(cwd, { MYSQL_PWD: canary.secret })

    const found = canary.foundInProcesses(processesTouching(cwd))
    end()

    expect(found.map((where) => where.split(' ')[0])).toEqual(['environ', 'environ'])
  })
})
