/** The units and files for a host, as the programs that read them see them. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { watch } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { freePort } from '../rig/free-port.ts'
import { forgetProcess, makeGuardedDirectory, removeGuardedDirectory, watchProcess } from '../rig/guard.ts'
import { mustRun, plainEnvironment, runProgram } from '../rig/run-program.ts'
import { HOST_FILES, readHostFile, readUnit, readXinetd } from './host-files.ts'

const UNITS = ['kv-backup-agent.service', 'kv-backup-agent.socket'] as const

let scratch: string
beforeAll(() => {
  scratch = makeGuardedDirectory('host-files')
})
afterAll(() => removeGuardedDirectory(scratch))

describe('the units', () => {
  test('are understood by systemd, every line of them', async () => {
    for (const unit of UNITS) {
      // Where it is not installed, the program is missing; that is not what is asked here.
      writeFileSync(join(scratch, unit), readHostFile(unit).replace('/usr/bin/backup-agent', '/bin/true'))
    }

    const run = await runProgram('systemd-analyze', ['verify', '--man=no', ...UNITS.map((unit) => join(scratch, unit))])

    expect({
      said: run.stderr.split('\n').filter((line) => line.includes('kv-backup-agent')),
      status: run.exitCode,
    }).toEqual({ said: [], status: 0 })
  })

  test('expose so little that systemd-analyze gives them 1.5 or less', async () => {
    const { stdout } = await mustRun('systemd-analyze', [
      'security',
      '--offline=true',
      '--no-pager',
      join(HOST_FILES, 'kv-backup-agent.service'),
    ])

    const exposure = /Overall exposure level for kv-backup-agent\.service: ([\d.]+)/.exec(stdout.toString())?.[1]
    expect(Number(exposure)).toBeLessThanOrEqual(1.5)
    expect(Number(exposure)).toBeGreaterThan(0)
  })

  test('do without what would break the agent, however good its score', () => {
    const service = readUnit('kv-backup-agent.service')

    expect(
      ['MemoryDenyWriteExecute', 'ProcSubset', 'PrivateUsers', 'PrivateNetwork'].filter((key) => service.has(key)),
    ).toEqual([])
    expect(service.get('KillMode')).toEqual(['mixed'])
    expect(service.get('LimitCORE')).toEqual(['0'])
    expect(service.get('StateDirectoryMode')).toEqual(['0700'])
    // Longer than a running backup is given to end (drain-seconds).
    expect(Number(service.get('TimeoutStopSec'))).toBeGreaterThan(300)
  })

  test('leave the port open however many come at once', () => {
    const socket = readUnit('kv-backup-agent.socket')

    expect(socket.get('Accept')).toEqual(['no'])
    expect(socket.get('TriggerLimitIntervalSec')).toEqual(['0'])
    expect(socket.get('ListenStream')).toEqual(['127.0.0.1:25300'])
  })

  test('and tmpfiles.d make the same directories', () => {
    const service = readUnit('kv-backup-agent.service')
    const lines = readHostFile('tmpfiles.conf')
      .split('\n')
      .filter((line) => line.startsWith('d'))
      .map((line) => line.split(/ +/).slice(1, 5).join(' '))

    expect(lines).toEqual([
      `/var/lib/${service.get('StateDirectory')} ${service.get('StateDirectoryMode')} mysql mysql`,
      `/var/log/${service.get('LogsDirectory')} ${service.get('LogsDirectoryMode')} mysql mysql`,
    ])
    expect([service.get('User'), service.get('Group')]).toEqual([['mysql'], ['mysql']])
  })
})

describe('the service of xinetd', () => {
  test('is off until somebody says otherwise, and answers this host alone', () => {
    const service = readXinetd()

    expect(Object.fromEntries(service)).toMatchObject({
      disable: 'yes',
      user: 'mysql',
      bind: '127.0.0.1',
      only_from: '127.0.0.1',
      umask: '077',
      passenv: 'TZ',
      log_on_failure: 'HOST',
      server: '/usr/bin/backup-agent',
      server_args: 'inetd',
    })
    // Node aborts with less.
    expect(Number.parseInt(service.get('rlimit_as') ?? '', 10)).toBeGreaterThanOrEqual(1024)
  })

  test('is taken by the real xinetd, with all its limits', async () => {
    const port = await freePort()
    const report = join(scratch, 'report')
    writeFileSync(
      report,
      '#!/bin/sh\necho "$(ulimit -n) $(ulimit -v) $(umask) $1 $(printenv NODE_OPTIONS || echo none)"\n',
    )
    chmodSync(report, 0o755)
    const configuration = join(scratch, 'xinetd.conf')
    writeFileSync(
      configuration,
      readHostFile('xinetd.conf')
        .replace(/(disable += )yes/, '$1no')
        .replace(/(port += )25300/, `$1${port}`)
        .replace(/(user += )mysql/, `$1${await own('-un')}`)
        .replace(/(group += )mysql/, `$1${await own('-gn')}`)
        .replace('/usr/bin/backup-agent', report),
    )
    const log = join(scratch, 'xinetd.log')
    const xinetd = spawn(
      'xinetd',
      ['-dontfork', '-f', configuration, '-pidfile', join(scratch, 'pid'), '-filelog', log],
      {
        stdio: 'ignore',
        env: { ...plainEnvironment(), NODE_OPTIONS: '--title=x' },
      },
    )
    watchProcess(xinetd.pid ?? 0, configuration)
    const ended = once(xinetd, 'close')
    try {
      await written(log, /Started working: 1 available service/, ended)

      const answer = await text(createConnection({ host: '127.0.0.1', port }))

      // The number of files is what the machine allows, where that is less.
      expect(answer).toMatch(/^\d+ 16777216 0077 inetd none\n$/)
    } finally {
      xinetd.kill('SIGKILL')
      await ended
      forgetProcess(xinetd.pid ?? 0)
    }
  })
})

test('logrotate moves the log away, and makes no new one: that is for who writes it', async () => {
  const logs = join(scratch, 'logs')
  mkdirSync(logs, { mode: 0o750 })
  writeFileSync(join(logs, 'agent.log'), 'one\n')
  const configuration = join(scratch, 'logrotate.conf')
  const rules = readHostFile('logrotate.conf')
    .replaceAll('/var/log/kv-backup-agent', logs)
    .replace('su mysql mysql', `su ${await own('-un')} ${await own('-gn')}`)
  writeFileSync(configuration, rules, { mode: 0o644 })

  await mustRun('logrotate', ['--force', '--state', join(scratch, 'logrotate.state'), configuration])

  expect(readdirSync(logs)).toEqual(['agent.log.1'])
  expect(readFileSync(join(logs, 'agent.log.1'), 'utf8')).toBe('one\n')
})

const own = async (what: string): Promise<string> => (await mustRun('id', [what])).stdout.toString().trim()

/** Waits until a program has written something to its log, and throws when it ends before that. */
const written = async (log: string, wanted: RegExp, ended: Promise<unknown>): Promise<void> => {
  const watching = new AbortController()
  void ended.then(() => watching.abort())
  const isThere = (): boolean => existsSync(log) && wanted.test(readFileSync(log, 'utf8'))
  try {
    const changes = watch(dirname(log), { signal: watching.signal })
    const first = changes[Symbol.asyncIterator]().next() // watched from here on
    if (isThere()) return
    await first
    if (isThere()) return
    for await (const _ of changes) if (isThere()) return
  } catch {
    throw new Error(`it ended before it said ${wanted}: ${existsSync(log) ? readFileSync(log, 'utf8') : 'no log'}`)
  } finally {
    watching.abort()
  }
}
