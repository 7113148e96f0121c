import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { afterAll, describe, expect, test } from '@jest/globals'

import { type EngineSettings, findEngine, type XbstreamRun } from '../../lib/engines/index.ts'
import { BackupError } from '../../lib/errors/index.ts'
import {
  drain,
  fixture,
  groupHasEnded,
  hasEnded,
  isThere,
  MemoryLog,
  never,
  readAll,
  Scratch,
  until,
} from './stand-ins.ts'

const scratch = new Scratch()
afterAll(() => scratch.remove())

interface Order {
  readonly user?: string
  readonly password?: string
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
    expect(run.progress()).toEqual({ stage: 'done', files: 400_000, lastFile: `db/${'t'.repeat(20)}.MAI` })
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
    const { args } = await look({}, { socket: '/run/my server.sock', datadir: '/srv/database', startupWaitSeconds: 7 })

    expect(args).toEqual([
      '--defaults-file=/dev/fd/3',
      '--backup',
      '--stream=xbstream',
      '--parallel=1',
      '--socket=/run/my server.sock',
      '--datadir=/srv/database',
      '--startup-wait-timeout=7',
    ])
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

describe('what is told about a backup program', () => {
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
  const childModule = new URL('../../lib/engines/child.js', import.meta.url).href

  /** An agent with one child, which has one child too; it says the pids of both and then ends as it is told. */
  const script = (end: string): string => `
    import { startChild } from ${JSON.stringify(childModule)}
    const child = await startChild({
      program: ${JSON.stringify(fixture('ignores-sigint'))},
      args: [],
      environment: { PATH: '/usr/bin:/bin' },
      workingDirectory: '/',
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
    expect(child).toBeGreaterThan(1)
    expect(grandchild).toBeGreaterThan(1)
  })
})
