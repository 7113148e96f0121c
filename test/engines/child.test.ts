import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { afterAll, describe, expect, test } from '@jest/globals'

import { type Child, type ChildOrder, startChild } from '../../lib/engines/child.ts'
import { LOCK_HELD_EXIT } from '../../lib/engines/host-guards.ts'
import { LastLines } from '../../lib/engines/last-lines.ts'
import { StderrLines } from '../../lib/engines/stderr-lines.ts'
import { BackupError } from '../../lib/errors/index.ts'
import {
  drain,
  fixture,
  groupHasEnded,
  hasEnded,
  isThere,
  lockHolders,
  never,
  openedBy,
  readAll,
  Scratch,
  until,
} from './stand-ins.ts'

const scratch = new Scratch()
afterAll(() => scratch.remove())

/** What is read of an output before anybody asks for it, at most: a buffer that is filled, and the one behind it. */
const AHEAD_BYTES = 512 * 1024

test('a child is read through a pipe where no socket can be made', async () => {
  const child = await startChild({
    program: fixture('says-ok-but-exits-1'),
    args: [],
    environment: { PATH: '/usr/bin:/bin' },
    workingDirectory: scratch.path,
    largeReadsIn: '/proc/self', // a directory in which nothing can be made
    signal: never(),
    onStderr: () => {},
  })

  const bytes = await readAll(child.stdout)
  child.buffers?.takeBack([bytes])

  expect(bytes.length).toBe(6)
  expect(await child.settled).toEqual({ exitCode: 1, signal: undefined })
})

test('the socket of a child has no name any more when the child is there', async () => {
  const directory = scratch.directory('named')
  const child = await startChild({
    program: fixture('says-ok-but-exits-1'),
    args: [],
    environment: { PATH: '/usr/bin:/bin' },
    workingDirectory: scratch.path,
    largeReadsIn: directory,
    signal: never(),
    onStderr: () => {},
  })

  expect(readdirSync(directory)).toEqual([])
  await drain(child.stdout)
  await child.settled
})

/** More than the start of a child has open at a time. */
const SOME_DESCRIPTORS = 12

/** Node does not close the pipes of a process for which the last descriptor was missing: two numbers, two pipes each. */
const LOST_DESCRIPTORS = 4

test.each([
  ['a pipe', undefined],
  ['a socket of its own', scratch.directory('few')],
])('through %s, a child starts or is refused, however few descriptors are left', async (_, largeReadsIn) => {
  const open = (): string[] => readdirSync('/proc/self/fd')
  const start = async (): Promise<string> => {
    try {
      const child = await startChild({
        program: '/bin/true',
        args: [],
        environment: {},
        workingDirectory: scratch.path,
        largeReadsIn,
        signal: never(),
        onStderr: () => {},
      })
      await drain(child.stdout)
      return `ended with ${(await child.settled).exitCode}`
    } catch (error) {
      return error instanceof BackupError ? error.code : String(error)
    }
  }
  await start() // everything is loaded
  const limitOf = (): string =>
    execFileSync('prlimit', ['--pid', `${process.pid}`, '--nofile', '--raw', '--noheadings', '--output', 'SOFT'], {
      encoding: 'utf8',
    }).trim()
  const setLimit = (soft: string): Buffer => execFileSync('prlimit', ['--pid', `${process.pid}`, `--nofile=${soft}:`])
  const limit = limitOf()
  const before = open().length
  const ends: string[] = []
  const taken: number[] = []
  const takeAll = (): void => {
    for (;;) {
      try {
        taken.push(openSync('/dev/null', 'r'))
      } catch {
        return
      }
    }
  }
  setLimit(`${Math.max(...open().map(Number)) + 1 + 2 * SOME_DESCRIPTORS}`)

  try {
    for (let free = 0; free <= SOME_DESCRIPTORS; free += 1) {
      takeAll()
      for (const descriptor of taken.splice(-free, free)) closeSync(descriptor)
      ends.push(await start())
    }
  } finally {
    for (const descriptor of taken) closeSync(descriptor)
    setLimit(limit)
  }

  expect(new Set(ends)).toEqual(new Set(['ENGINE_UNUSABLE', 'ended with 0']))
  expect(ends.lastIndexOf('ENGINE_UNUSABLE')).toBeLessThan(ends.indexOf('ended with 0'))
  expect(open().length).toBeLessThanOrEqual(before + LOST_DESCRIPTORS)
  if (largeReadsIn !== undefined) expect(readdirSync(largeReadsIn)).toEqual([])
})

describe.each([
  ['a pipe', undefined],
  ['a socket of its own', scratch.runtimeDirectory],
])('through %s,', (_, largeReadsIn) => {
  const directory = (name: string): string => scratch.directory(`${name}-${largeReadsIn === undefined ? 1 : 2}`)

  const start = (program: string, more: Partial<ChildOrder> = {}): Promise<Child> =>
    startChild({
      program: fixture(program),
      args: [],
      environment: { PATH: '/usr/bin:/bin' },
      workingDirectory: scratch.path,
      largeReadsIn,
      signal: never(),
      onStderr: () => {},
      ...more,
    })

  describe('a child', () => {
    test('leads a process group of its own', async () => {
      const child = await start('shows-its-option-file', { args: [], descriptor3: 0 })

      const words = (await readAll(child.stdout)).toString().trim().split('\n').at(-1)

      expect(words?.trim().split(/\s+/)).toEqual([String(child.pid), String(child.pid)])
      await child.settled
    })

    test('sees the environment it was given and nothing else', async () => {
      process.env['MYSQL_PWD'] = 'inherited'
      const child = await start('shows-its-option-file', {
        environment: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
        descriptor3: 0,
      })

      const environment = (await readAll(child.stdout)).toString().split('==\n')[1]?.trim().split('\n')
      delete process.env['MYSQL_PWD']

      // A shell adds these three by itself.
      expect(environment?.filter((line) => !/^(PWD|OLDPWD|_)=/.test(line))).toEqual(['LC_ALL=C', 'PATH=/usr/bin:/bin'])
    })

    test('waits for the reader of its output, instead of filling our memory', async () => {
      const abort = new AbortController()
      const child = await start('', { program: '/usr/bin/yes', signal: abort.signal })

      await until(() => child.outputBytes() > 0)
      let quietTurns = 0
      for (let before = 0; quietTurns < 1000 && before < 64 * AHEAD_BYTES; quietTurns += 1) {
        await new Promise((resolve) => setImmediate(resolve))
        if (child.outputBytes() > before) quietTurns = 0
        before = child.outputBytes()
      }
      const heldBytes = child.outputBytes()
      abort.abort(new Error('enough'))
      await child.settled

      expect(heldBytes).toBeLessThanOrEqual(AHEAD_BYTES)
    })

    test('has its stderr drained though nobody reads its output, and memory stays bounded', async () => {
      const lines = new StderrLines()
      const last = new LastLines()
      let longest = 0

      const child = await start('floods-stderr', {
        onStderr: (chunk) => {
          for (const line of lines.push(chunk)) {
            longest = Math.max(longest, line.length)
            last.push(line)
          }
        },
      })
      const bytes = drain(child.stdout)
      const end = await child.settled

      expect(end).toEqual({ exitCode: 0, signal: undefined })
      expect(await bytes).toBe(6)
      expect(lines.bytes).toBeGreaterThan(40_000_000)
      expect(longest).toBe(8192)
      expect(last.lines().join('\n').length).toBeLessThanOrEqual(64 * 1024)
      expect(last.lines().at(-1)).toContain('completed OK!')
    })

    test.each([
      ['says-ok-but-exits-1', 6],
      ['dies-midway', 100_000],
    ])('loses nothing of its output when its reader comes after its end: %s', async (program, bytes) => {
      const child = await start(program)
      await until(() => !isThere(child.pid))

      const read = await drain(child.stdout)

      expect(read).toBe(bytes)
      await child.settled
    })

    test('has not settled while its output is still to be read', async () => {
      const child = await start('says-ok-but-exits-1')
      let settled = false
      void child.settled.then(() => {
        settled = true
      })
      await until(() => !isThere(child.pid))
      // Whatever could still be under way in this process.
      for (let turn = 0; turn < 100; turn += 1) await new Promise((resolve) => setImmediate(resolve))

      expect(settled).toBe(false)
      await drain(child.stdout)
      expect(await child.settled).toEqual({ exitCode: 1, signal: undefined })
    })

    test('that was killed says by which signal', async () => {
      const child = await start('dies-midway')

      const bytes = await drain(child.stdout)

      expect(bytes).toBe(100_000)
      expect(await child.settled).toEqual({ exitCode: undefined, signal: 'SIGKILL' })
    })

    test('that ends takes along what it left behind in its group', async () => {
      const child = await start('ends-before-its-child')

      const grandchild = Number((await readAll(child.stdout)).toString())

      expect(await child.settled).toEqual({ exitCode: 0, signal: undefined })
      expect(grandchild).toBeGreaterThan(1)
      await until(() => hasEnded(grandchild))
    })

    test.each([
      ['no program of that name', { program: '/nonexistent/program' }, /cannot be started|setpriv|sh: .*not found/],
      ['no such working directory', { workingDirectory: '/nonexistent' }, /cannot be started/],
    ])('that cannot be started is refused or fails at once: %s', async (_, order, words) => {
      const said: string[] = []
      try {
        const child = await start('', { ...order, onStderr: (chunk) => void said.push(chunk.toString()) })
        await drain(child.stdout)
        expect(await child.settled).toMatchObject({ exitCode: 127 })
        expect(said.join('')).toMatch(words)
      } catch (error) {
        expect(error).toMatchObject({ code: 'ENGINE_UNUSABLE', message: expect.stringMatching(words) })
      }
    })

    test('is not started for a job that is already cancelled', async () => {
      const reason = new BackupError('JOB_CLIENT_GONE', 'the client went away')

      await expect(start('never-starts-talking', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    })
  })

  describe('a child with a lock', () => {
    const commandLine = (pid: number): string[] => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1)

    test('holds it itself, under its own pid and command line, and nobody else has it open', async () => {
      const lock = directory('held')
      const abort = new AbortController()
      const child = await start('writes-then-hangs', { lock, signal: abort.signal })
      await child.stdout[Symbol.asyncIterator]().next()
      // Started while the lock is held: no part of it may come to a child that has nothing to do with it.
      const other = await start('writes-then-hangs', { signal: abort.signal })
      await other.stdout[Symbol.asyncIterator]().next()

      const holders = lockHolders(lock)
      const readers = openedBy(lock)
      await until(() => commandLine(child.pid)[0] === 'sleep') // it has become its own last program by exec
      const words = commandLine(child.pid)
      abort.abort(new Error('enough'))
      await Promise.all([child.settled, other.settled])

      expect(holders).toEqual([child.pid])
      expect(readers).toEqual([child.pid])
      expect(words).toEqual(['sleep', '600'])
    })

    test('that somebody else holds ends at once: no word, no byte, a status of its own', async () => {
      const lock = directory('contested')
      const abort = new AbortController()
      const first = await start('writes-then-hangs', { lock, signal: abort.signal })
      await first.stdout[Symbol.asyncIterator]().next()
      const said: string[] = []

      const second = await start('writes-then-hangs', { lock, onStderr: (chunk) => said.push(chunk.toString()) })
      const bytes = await drain(second.stdout)
      const end = await second.settled
      abort.abort(new Error('enough'))
      await first.settled

      expect(end).toEqual({ exitCode: LOCK_HELD_EXIT, signal: undefined })
      expect([bytes, second.outputBytes(), said.join('')]).toEqual([0, 0, ''])
    })

    test('and another one started in the same moment: one of them runs', async () => {
      const lock = directory('raced')
      const abort = new AbortController()

      const children = await Promise.all([1, 2].map(() => start('writes-then-hangs', { lock, signal: abort.signal })))
      const bytes = children.map((child) => drain(child.stdout))
      const loser = await Promise.race(children.map(async (child) => ({ child, end: await child.settled })))
      const winner = children.find((child) => child !== loser.child)
      await until(() => winner?.outputBytes() === 100_000)
      const holders = lockHolders(lock)
      abort.abort(new Error('enough'))

      expect(loser.end).toEqual({ exitCode: LOCK_HELD_EXIT, signal: undefined })
      expect(holders).toEqual([winner?.pid])
      expect((await Promise.all(bytes)).sort()).toEqual([0, 100_000])
    })

    test('that is killed lets go of it in the same moment, though we live on and its output is not read', async () => {
      const lock = directory('killed')
      const child = await start('writes-then-hangs', { lock })
      await until(() => child.outputBytes() > 0)
      const before = lockHolders(lock)

      process.kill(child.pid, 'SIGKILL')
      await until(() => hasEnded(child.pid))
      const after = lockHolders(lock)

      expect([before, after]).toEqual([[child.pid], []])
      const next = await start('says-ok-but-exits-1', { lock })
      expect(await drain(next.stdout)).toBe(6)
      await drain(child.stdout)
      await child.settled
    })

    test('that ends takes along what it left behind, and the lock with it', async () => {
      const lock = directory('left-behind')
      const child = await start('ends-before-its-child', { lock })

      const grandchild = Number((await readAll(child.stdout)).toString())
      await child.settled

      await until(() => hasEnded(grandchild))
      expect(lockHolders(lock)).toEqual([])
    })

    test('is ended by a cancel like any other: SIGINT first, the lock free', async () => {
      const lock = directory('cancelled')
      const abort = new AbortController()
      const child = await start('writes-then-hangs', { lock, signal: abort.signal, graceMs: 600_000 })
      await child.stdout[Symbol.asyncIterator]().next()

      abort.abort(new Error('enough'))

      expect(await child.settled).toEqual({ exitCode: undefined, signal: 'SIGINT' })
      expect(lockHolders(lock)).toEqual([])
    })

    test('that cannot be interrupted is killed with its group, and the lock is free', async () => {
      const lock = directory('stubborn')
      const abort = new AbortController()
      const child = await start('ignores-sigint', { lock, signal: abort.signal, graceMs: 50 })
      await child.stdout[Symbol.asyncIterator]().next()

      abort.abort(new Error('enough'))

      expect(await child.settled).toEqual({ exitCode: undefined, signal: 'SIGKILL' })
      await until(() => groupHasEnded(child.pid))
      expect(lockHolders(lock)).toEqual([])
    })

    test('is ended by a cancel before it has become the program', async () => {
      const lock = join(directory('fifos'), 'fifo') // whoever opens it waits for its writer, who never comes
      execFileSync('mkfifo', [lock])
      const abort = new AbortController()
      const child = await start('writes-then-hangs', { lock, signal: abort.signal, graceMs: 600_000 })
      await until(() => readFileSync(`/proc/${child.pid}/comm`, 'utf8') === 'flock\n')

      abort.abort(new Error('enough'))

      expect(await child.settled).toEqual({ exitCode: undefined, signal: 'SIGINT' })
      expect(child.outputBytes()).toBe(0)
    })

    test('that cannot be tried for does not run the program, and says why', async () => {
      const said: string[] = []
      const lock = join(scratch.path, 'nowhere/lock')

      const child = await start('writes-then-hangs', { lock, onStderr: (chunk) => said.push(chunk.toString()) })
      const bytes = await drain(child.stdout)

      expect((await child.settled).exitCode).not.toBe(LOCK_HELD_EXIT)
      expect([bytes, said.join('')]).toEqual([0, `flock: cannot open lock file ${lock}: No such file or directory\n`])
    })
  })

  describe('cancelling', () => {
    test('in the moment of the start ends it too', async () => {
      const abort = new AbortController()
      const child = await start('never-starts-talking', {
        signal: abort.signal,
        graceMs: 600_000,
        onStart: () => abort.abort(new Error('enough')),
      })

      expect(await child.settled).toEqual({ exitCode: undefined, signal: 'SIGINT' })
      expect(isThere(child.pid)).toBe(false)
    })

    test.each(['never-starts-talking', 'writes-then-hangs', 'floods-stderr'])(
      'ends %s: reaped, its group gone',
      async (program) => {
        const abort = new AbortController()
        const child = await start(program, { signal: abort.signal, graceMs: 50 })

        abort.abort(new Error('enough'))
        const end = await child.settled

        expect(end.exitCode === undefined ? end.signal : end.exitCode).not.toBe(0)
        expect(isThere(child.pid)).toBe(false)
        await until(() => groupHasEnded(child.pid))
        expect(child.stdout.destroyed).toBe(true)
      },
    )

    test('asks with SIGINT first', async () => {
      const abort = new AbortController()
      const child = await start('writes-then-hangs', { signal: abort.signal, graceMs: 600_000 })
      await child.stdout[Symbol.asyncIterator]().next()

      abort.abort(new Error('enough'))

      expect(await child.settled).toEqual({ exitCode: undefined, signal: 'SIGINT' })
    })

    test('kills after the grace, and a child of the child with it', async () => {
      const abort = new AbortController()
      const child = await start('ignores-sigint', { signal: abort.signal, graceMs: 50 })
      const piece = (await child.stdout[Symbol.asyncIterator]().next()).value as Buffer
      const grandchild = Number(piece.toString())

      abort.abort(new Error('enough'))

      expect(await child.settled).toEqual({ exitCode: undefined, signal: 'SIGKILL' })
      expect(grandchild).toBeGreaterThan(1)
      await until(() => hasEnded(grandchild))
    })

    test('tells a reader of the output why it ended', async () => {
      const abort = new AbortController()
      const reason = new BackupError('JOB_CANCELLED', 'enough')
      const child = await start('writes-then-hangs', { signal: abort.signal })
      const reading = readAll(child.stdout)

      abort.abort(reason)

      await expect(reading).rejects.toBe(reason)
      await child.settled
    })

    test('a child that has ended already signals nobody', async () => {
      const abort = new AbortController()
      const child = await start('dies-midway', { signal: abort.signal })
      await drain(child.stdout)
      await child.settled

      abort.abort(new Error('too late'))

      expect(await child.settled).toEqual({ exitCode: undefined, signal: 'SIGKILL' })
    })
  })
})
