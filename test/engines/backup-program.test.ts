import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { afterAll, describe, expect, test } from '@jest/globals'

import { LOCK_HELD_EXIT } from '../../lib/engines/host-guards.ts'
import { type EngineSettings, findEngine, type XbstreamRun } from '../../lib/engines/index.ts'
import { BackupError } from '../../lib/errors/index.ts'
import {
  drain,
  fixture,
  groupHasEnded,
  hasEnded,
  isThere,
  lockHolders,
  MemoryLog,
  never,
  openedBy,
  readAll,
  Scratch,
  until,
} from './stand-ins.ts'

const scratch = new Scratch()
afterAll(() => scratch.remove())

interface Order {
  readonly user?: string
  readonly password?: string
  readonly extraArgs?: readonly string[]
  readonly signal?: AbortSignal
  readonly log?: MemoryLog
}

const start = async (
  standIn: string,
  order: Order = {},
  settings: Partial<EngineSettings> = {},
): Promise<XbstreamRun> => {
  const engine = await findEngine(
    scratch.settings({ searchPath: scratch.searchPath({ 'mariadb-backup': standIn }), ...settings }),
  )
  const run = await engine.start({ user: 'backup', password: 'pw', signal: never(), log: new MemoryLog(), ...order })
  if (run.kind !== 'xbstream') throw new Error('expected a program')
  return run
}

describe('a backup program', () => {
  test.each([
    ['dies-midway', 100_000, { exitCode: undefined, signal: 'SIGKILL', saidOk: false }, 'ENGINE_FAILED'],
    ['says-ok-but-exits-1', 6, { exitCode: 1, signal: undefined, saidOk: true }, 'ENGINE_FAILED'],
    ['exits-0-without-ok', 6, { exitCode: 0, signal: undefined, saidOk: false }, 'ENGINE_NO_OK'],
  ])('that %s has failed, however much it wrote', async (standIn, bytes, end, code) => {
    const run = await start(standIn)

    const read = await drain(run.output)
    const outcome = await run.settled

    expect(read).toBe(bytes)
    expect(outcome).toMatchObject({ ...end, failure: { code } })
    expect(isThere(run.pid)).toBe(false)
    await until(() => groupHasEnded(run.pid))
  })

  test('that floods stderr succeeds, and what is kept of it is bounded', async () => {
    const run = await start('floods-stderr')

    await drain(run.output)
    const outcome = await run.settled

    expect(outcome.failure).toBeUndefined()
    expect(outcome.stderrBytes).toBeGreaterThan(40_000_000)
    expect(Buffer.byteLength(outcome.lastLines.join('\n'))).toBeLessThanOrEqual(64 * 1024)
    expect(run.progress()).toEqual({
      stage: 'done',
      files: 400_000,
      lastFile: `db/${'t'.repeat(20)}.MAI`,
      locked: false,
      waitingForLock: false,
      words: 400_002,
    })
  })

  test.each(['never-starts-talking', 'writes-then-hangs', 'ignores-sigint', 'floods-stderr'])(
    'that %s is ended by its signal, with the reason for an outcome',
    async (standIn) => {
      const abort = new AbortController()
      const reason = new BackupError('JOB_CLIENT_GONE', 'the client went away')
      const run = await start(standIn, { signal: abort.signal })
      const reading = drain(run.output)

      abort.abort(reason)
      const outcome = await run.settled
      await reading

      expect(outcome.failure).toBe(reason)
      expect(isThere(run.pid)).toBe(false)
      await until(() => groupHasEnded(run.pid))
    },
  )

  test('is ended by its signal though nobody reads what it writes', async () => {
    const abort = new AbortController()
    const run = await start('writes-then-hangs', { signal: abort.signal })

    abort.abort(new BackupError('JOB_CANCELLED', 'enough'))

    expect(await run.settled).toMatchObject({ signal: 'SIGINT', failure: { code: 'JOB_CANCELLED' } })
  })

  test('is ended when its reader gives up', async () => {
    const abort = new AbortController()
    const run = await start('writes-then-hangs', { signal: abort.signal })

    for await (const piece of run.output) {
      expect(piece.length).toBeGreaterThan(0)
      break
    }
    abort.abort(new BackupError('JOB_CLIENT_GONE', 'the client went away'))

    expect(await run.settled).toMatchObject({ failure: { code: 'JOB_CLIENT_GONE' } })
  })

  test('is not started for a job that was cancelled before', async () => {
    const reason = new BackupError('JOB_CANCELLED', 'enough')

    await expect(start('never-starts-talking', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(readdirSync(scratch.runtimeDirectory)).toEqual([])
  })
})

describe('what a backup program is given', () => {
  const look = async (order: Order = {}, settings: Partial<EngineSettings> = {}) => {
    const run = await start('shows-its-option-file', order, settings)
    const [args = '', environment = '', first = '', second = ''] = (await readAll(run.output)).toString().split('==\n')
    expect((await run.settled).failure).toBeUndefined()
    return { args: args.trim().split('\n'), environment, first, second }
  }

  test('is the option file first, then options, all in whole words', async () => {
    const { args } = await look({}, { socket: '/run/my server.sock', datadir: '/srv/database' })

    expect(args).toEqual([
      '--defaults-file=/dev/fd/3',
      '--backup',
      '--stream=xbstream',
      '--parallel=1',
      '--socket=/run/my server.sock',
      '--datadir=/srv/database',
    ])
  })

  test('are options of the operator before its own, so that its own win', async () => {
    const { args } = await look({ extraArgs: ['--slave-info', '--tables-exclude=a b'] })

    expect(args.slice(0, 4)).toEqual(['--defaults-file=/dev/fd/3', '--slave-info', '--tables-exclude=a b', '--backup'])
  })

  test('is a login that can be read as often as it likes, and nowhere else', async () => {
    const { args, environment, first, second } = await look({ user: 'backup', password: 'se"cret #1' })

    expect(first).toBe(
      '[client]\nuser="backup"\npassword="se\\"cret #1"\n[xtrabackup]\nuser="backup"\npassword="se\\"cret #1"\n',
    )
    expect(second).toBe(first)
    expect(`${args.join(' ')} ${environment}`).not.toContain('cret')
    expect(readdirSync(scratch.runtimeDirectory)).toEqual([])
  })

  test("is the operator's own option file, before ours", async () => {
    const defaultsFile = join(scratch.path, 'operator.cnf')
    writeFileSync(defaultsFile, '[client]\nsocket=/run/theirs\n')

    const { first } = await look({}, { defaultsFile })

    expect(first.split('\n')[0]).toBe(`!include ${defaultsFile}`)
  })

  test('is a new environment: nothing that would change what it does or says', async () => {
    const meddling = {
      LD_PRELOAD: '',
      NODE_OPTIONS: '',
      MYSQL_PWD: 'x',
      MYSQL_HOME: '/srv',
      HOME: '/srv',
      LC_ALL: 'de_DE.UTF-8',
      TZ: 'Asia/Tokyo',
    }
    const before = { ...process.env }
    Object.assign(process.env, meddling)
    const { environment } = await look()
    for (const name of Object.keys(meddling)) delete process.env[name]
    Object.assign(process.env, before)

    const names = environment
      .trim()
      .split('\n')
      .map((line) => line.split('=')[0])
    expect(names.filter((name) => !['PWD', 'OLDPWD', '_'].includes(name ?? ''))).toEqual([
      'LANG',
      'LC_ALL',
      'PATH',
      'TZ',
    ])
    expect(environment).toContain('LC_ALL=C\n')
    expect(environment).toContain('TZ=Asia/Tokyo\n')
  })

  test.each([
    ['a user that cannot be handed over', { user: '--x' }, {}, 'ENGINE_LOGIN_INVALID'],
    ['an option file that is not there', {}, { defaultsFile: '/nonexistent/my.cnf' }, 'ENGINE_DEFAULTS_FILE'],
  ])('is refused before anything is started: %s', async (_, order, settings, code) => {
    await expect(start('shows-its-option-file', order, settings)).rejects.toMatchObject({ code })
    expect(readdirSync(scratch.runtimeDirectory)).toEqual([])
  })
})

describe('one backup of a server at a time', () => {
  /** Two agents, each with directories of its own, that know the server by this. */
  const busyWith = async (where: Partial<EngineSettings>, alsoWhere = where) => {
    const abort = new AbortController()
    const first = await start('writes-then-hangs', { signal: abort.signal }, where)
    await until(() => first.progress().files === 1)

    const second = await start('writes-then-hangs', { signal: abort.signal }, alsoWhere)
    const reading = drain(second.output)
    const isBusy = await Promise.race([
      second.settled.then(() => true),
      until(() => second.progress().files === 1).then(() => false),
    ])
    abort.abort(new BackupError('JOB_CANCELLED', 'enough'))
    await first.settled
    return { isBusy, first, bytes: await reading, outcome: await second.settled }
  }
  const data = scratch.directory('data')
  const locks = scratch.directory('locks')
  const otherLocks = scratch.directory('other-locks')

  test('is kept by the kernel: the second is told who is there, without a byte', async () => {
    const { isBusy, first, bytes, outcome } = await busyWith({ datadir: data })

    expect([isBusy, bytes]).toEqual([true, 0])
    expect(outcome).toMatchObject({
      exitCode: LOCK_HELD_EXIT,
      stderrBytes: 0,
      failure: {
        code: 'JOB_BUSY',
        message: `busy: another backup of this server is running (pid ${first.pid})`,
        facts: { lock: data, holder: first.pid },
        hint: expect.stringContaining(`ps -fp ${first.pid}`),
      },
    })
  })

  test.each<[string, boolean, Partial<EngineSettings>, Partial<EngineSettings>]>([
    [
      'one data directory, agents that share nothing',
      true,
      { datadir: data, lockDirectory: locks, socket: '/run/a' },
      { datadir: data, lockDirectory: otherLocks, socket: '/run/b' },
    ],
    ['one socket', true, { socket: '/run/a', lockDirectory: locks }, { socket: '/run/a', lockDirectory: locks }],
    ['the default server', true, { lockDirectory: locks }, { lockDirectory: locks }],
    ['two sockets', false, { socket: '/run/a', lockDirectory: locks }, { socket: '/run/b', lockDirectory: locks }],
    ['two data directories', false, { datadir: data }, { datadir: locks }],
    ['agents that share nothing', false, { lockDirectory: locks }, { lockDirectory: otherLocks }],
    ['nothing to lock', false, {}, {}],
  ])('is kept, or need not be: %s', async (_, isBusy, where, alsoWhere) => {
    expect(await busyWith(where, alsoWhere)).toMatchObject({ isBusy })
  })

  test.each([
    ['says-words-and-exits-75', /exited with 75: .*a temporary failure/],
    ['writes-and-exits-75', /exited with 75: it said nothing/],
  ])('is not what a program means that %s', async (standIn, message) => {
    const run = await start(standIn, {}, { datadir: data })
    await drain(run.output)

    expect(await run.settled).toMatchObject({
      exitCode: LOCK_HELD_EXIT,
      failure: { code: 'ENGINE_FAILED', message: expect.stringMatching(message) },
    })
  })

  test('is over when the first has ended, however it ended', async () => {
    for (const standIn of ['exits-0-without-ok', 'dies-midway', 'ends-before-its-child', 'says-ok-but-exits-1']) {
      const run = await start(standIn, {}, { datadir: data })
      expect(lockHolders(data)).not.toContain(process.pid)
      await drain(run.output)
      expect((await run.settled).failure?.code).not.toBe('JOB_BUSY')
    }
    expect(openedBy(data)).toEqual([])
  })

  test('cannot be promised when the lock cannot be made: nothing is started then, and nothing left', async () => {
    const lockDirectory = join(scratch.path, 'nowhere')

    await expect(start('writes-then-hangs', {}, { lockDirectory })).rejects.toMatchObject({ code: 'ENGINE_LOCK' })
    expect(readdirSync(scratch.runtimeDirectory)).toEqual([])
  })
})

describe('how much is to come', () => {
  const datadir = scratch.directory('measured')
  writeFileSync(join(datadir, 'ibdata1'), 'x'.repeat(1000))

  test('is looked for once, when the program says which data directory it goes to', async () => {
    const abort = new AbortController()
    const log = new MemoryLog()
    const run = await start('says-its-data-directory', { signal: abort.signal, log }, { datadir })
    const atFirst = run.totalBytes()

    await until(() => run.totalBytes() !== undefined && run.progress().words === 2)
    abort.abort(new BackupError('JOB_CANCELLED', 'enough'))
    await run.settled

    expect([atFirst, run.totalBytes()]).toEqual([undefined, 1000])
    expect(log.lines.filter(({ message }) => message === 'data directory measured')).toHaveLength(1)
  })

  test('is not looked for any more when the program is gone', async () => {
    const log = new MemoryLog()
    const run = await start('says-its-data-directory', { user: 'brief', log }, { datadir })
    await drain(run.output)
    await run.settled

    await until(() => log.lines.some(({ message }) => message === 'data directory measured'))
    expect(run.totalBytes()).toBeUndefined()
  })

  test('is unknown when it cannot be read', async () => {
    const abort = new AbortController()
    const log = new MemoryLog()
    const run = await start('says-its-data-directory', { signal: abort.signal, log }, { datadir: '/nonexistent' })

    await until(() => log.lines.some(({ message }) => message === 'data directory measured'))
    abort.abort(new BackupError('JOB_CANCELLED', 'enough'))
    await run.settled

    expect(run.totalBytes()).toBeUndefined()
  })
})

describe('what is told about a backup program', () => {
  test('is that it holds no lock any more once it is gone, whatever it said last', async () => {
    const abort = new AbortController()
    const run = await start('ignores-sigint', { signal: abort.signal })
    await until(() => run.progress().locked)

    abort.abort(new BackupError('JOB_CANCELLED', 'enough'))
    await run.settled

    expect(run.progress()).toMatchObject({ stage: 'BLOCK_COMMIT', locked: false })
  })

  test('holds no secret: not in the outcome, not in the log', async () => {
    const log = new MemoryLog()
    const run = await start('says-its-secrets', { password: 'the-secret', log })

    await drain(run.output)
    const outcome = await run.settled

    const told = JSON.stringify([
      log.lines,
      outcome,
      outcome.failure?.message,
      outcome.failure?.facts,
      outcome.failure?.hint,
    ])
    expect(told).toContain('error: password [redacted]')
    expect(told).toContain('IDENTIFIED BY [redacted]')
    expect(told).not.toMatch(/the-secret|B27918D2D9|ZIgUREUg5/)
  })

  test('is in the log: that it started, each stage, each line', async () => {
    const abort = new AbortController()
    const log = new MemoryLog(({ facts }) => {
      if (facts['stage'] === 'BLOCK_COMMIT') abort.abort(new BackupError('JOB_CANCELLED', 'enough'))
    })

    const run = await start('ignores-sigint', { signal: abort.signal, log })
    await run.settled

    expect(log.lines.map(({ level, message }) => `${level}: ${message}`)).toEqual([
      'info: engine started',
      'debug: engine said',
      'info: engine stage',
    ])
  })
})

describe('an agent that ends', () => {
  const locked = scratch.directory('locked')
  const childModule = new URL('../../lib/engines/child.js', import.meta.url).href

  /** An agent with one child, which has one child too; it says the pids of both and then ends as it is told. */
  const script = (end: string): string => `
    import { startChild } from ${JSON.stringify(childModule)}
    const child = await startChild({
      program: ${JSON.stringify(fixture('ignores-sigint'))},
      args: [],
      environment: { PATH: '/usr/bin:/bin' },
      workingDirectory: '/',
      lock: ${JSON.stringify(locked)},
      signal: new AbortController().signal,
      onStderr: () => {},
    })
    for await (const grandchild of child.stdout) process.stdout.write(child.pid + ' ' + grandchild, () => { ${end} })`

  test.each([
    ['in order', 'process.exit(0)', true],
    ['by a bug', 'throw new Error("bug")', true],
    ['by SIGKILL', 'process.kill(process.pid, "SIGKILL")', false],
  ])('%s takes its children along', async (_, end, wholeGroup) => {
    const agent = spawn(process.execPath, ['--input-type=module', '-e', script(end)], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: {},
    })
    const [said] = (await once(agent.stdout, 'data')) as [Buffer]
    const [child = 0, grandchild = 0] = said.toString().trim().split(' ').map(Number)
    await once(agent, 'close')

    await until(() => hasEnded(child))
    // A SIGKILL leaves no time for a word to the group: the kernel ends the program, and nobody its children.
    if (!wholeGroup) process.kill(grandchild, 'SIGKILL')
    await until(() => hasEnded(grandchild))
    expect(lockHolders(locked)).toEqual([])
    expect(child).toBeGreaterThan(1)
    expect(grandchild).toBeGreaterThan(1)
  })
})
