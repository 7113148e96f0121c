import { mkdtempSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from '@jest/globals'

import { ConfigurationDirectory } from '../config/configurations.ts'
import { AGENT_PROGRAM, AgentProcess } from '../rig/agent-process.ts'
import { converse } from '../rig/raw-client.ts'
import { plainEnvironment, runProgram as run } from '../rig/run-program.ts'

const directory = new ConfigurationDirectory()
afterAll(() => directory.remove())

const config = async (args: readonly string[], variables: Readonly<Record<string, string>> = {}) => {
  const ended = await run(process.execPath, [AGENT_PROGRAM, 'config', ...args], {
    environment: { ...plainEnvironment(), ...variables },
  })
  return { status: ended.exitCode, stdout: ended.stdout.toString(), stderr: ended.stderr }
}

describe('backup-agent config', () => {
  const FILE = directory.file(
    [
      'listen = "127.0.0.1:25301"',
      'spool-bytes = "2GiB"',
      '[instance.shop]',
      'socket = "/run/shop.sock"',
      '[options.replica]',
      'args = ["--slave-info"]',
      '',
    ].join('\n'),
  )

  test('prints every value and who said so, for people', async () => {
    const { status, stdout, stderr } = await config(['--config', FILE, '--log-level', 'debug'], {
      KV_BACKUP_AGENT_STALL_SECONDS: '7',
    })

    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    for (const line of [
      ['listen', '127.0.0.1:25301', `${FILE}:1`],
      ['spool-bytes', '2.0 GiB', `${FILE}:2`],
      ['stall-seconds', '7', 'KV_BACKUP_AGENT_STALL_SECONDS'],
      ['log-level', 'debug', '--log-level'],
      ['hang-seconds', '120', 'default'],
      ['socket', '/run/shop.sock', `${FILE}:4`],
      ['args', '--slave-info', `${FILE}:6`],
    ]) {
      expect(stdout).toMatch(new RegExp(`^${line.map((word) => word.replace(/[.[\]]/g, '\\$&')).join(' +')}$`, 'm'))
    }
    expect(stdout).toMatch(/^\[instance\.shop\]$/m)
  })

  test('prints the same as JSON', async () => {
    const { status, stdout } = await config(['--config', FILE, '--json', '--no-history'])

    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      status: 'OK',
      file: FILE,
      settings: {
        listen: { value: { host: '127.0.0.1', port: 25301 }, from: `${FILE}:1` },
        history: { value: false, from: '--no-history' },
        datadir: { value: null, from: 'default' },
      },
      instances: { shop: { socket: { value: '/run/shop.sock', from: `${FILE}:4` } } },
      allow: { 'binlog-directories': { value: [], from: 'default' } },
      options: { replica: { args: { value: ['--slave-info'], from: `${FILE}:6` } } },
    })
  })

  test('prints all mistakes at once, and ends with 2', async () => {
    const file = directory.file('spool-dri = "/srv"\nhang-seconds = "soon"\n')

    const people = await config(['--config', file, '--listen', 'nowhere'], { KV_BACKUP_AGENT_SPOOLDIR: '/srv' })
    const json = await config(['--config', file, '--json'])

    expect(people.status).toBe(2)
    expect(people.stdout).toBe('')
    expect(people.stderr).toContain('the configuration has 4 mistakes:\n')
    expect(people.stderr).toContain(`\n  ${file}:1:1: unknown key spool-dri; did you mean spool-dir?\n`)
    expect(people.stderr).toContain('[CONFIG_INVALID]')
    expect(json.status).toBe(2)
    expect(JSON.parse(json.stdout)).toMatchObject({
      status: 'FAILED',
      code: 'CONFIG_INVALID',
      facts: { mistakes: { length: 2 } },
    })
  })

  test('a configuration with a mistake starts no agent', async () => {
    const ended = await run(
      process.execPath,
      [AGENT_PROGRAM, 'serve', '--config', directory.file('spool-dri = "/srv"\n')],
      {
        environment: plainEnvironment(),
      },
    )

    expect(ended.exitCode).toBe(2)
    expect(ended.stderr).toContain('[CONFIG_INVALID]')
  })
})

test('backup-agent history reads where the configuration says', async () => {
  const file = directory.file(`state-dir = "${directory.path}/state-of-the-file"\n`)

  const ended = await run(process.execPath, [AGENT_PROGRAM, 'history', '--config', file], {
    environment: plainEnvironment(),
  })

  expect(ended.stderr).toContain(`${directory.path}/state-of-the-file`)
})

describe('SIGHUP', () => {
  test('takes a good file over, refuses a bad one, and names what takes a restart', async () => {
    const source = directory.path
    const file = directory.file(`engine = "directory"\ndirectory = "${source}"\n`)
    const agent = await AgentProcess.start(['--config', file])

    await writeFile(file, 'spool-dri = "/srv"\nhang-seconds = "soon"\n')
    agent.signal('SIGHUP')
    const refused = await agent.logged(({ code }) => code === 'CONFIG_INVALID')
    await writeFile(
      file,
      `engine = "directory"\ndirectory = "${source}"\nlog-level = "debug"\nstate-dir = "/srv/other"\n[instance.shop]\ndirectory = "/usr/share/doc"\n`,
    )
    agent.signal('SIGHUP')
    await agent.logged('configuration taken over')

    expect(refused.msg).toContain('everything stays as it was: the configuration has 2 mistakes')
    expect(agent.logs.find(({ setting }) => setting === 'state-dir')?.msg).toContain('by a restart only')
    expect(agent.logs.filter(({ msg }) => msg === 'listening')).toHaveLength(1)
    expect(agent.logs.filter(({ msg }) => msg === 'engine').map(({ instance }) => instance)).toEqual([
      undefined,
      undefined,
      'shop',
    ])
    const pairs = ['action=copy from', 'backup-level=0', 'file=ZRM_LINKS', 'tmpdir=/srv', 'copy-plugin=ssh']
    await converse(agent.port, `0.76.1\n5\n${pairs.join('\n')}\n\n`)
    const debugged = await agent.logged('keys of the request that decide nothing here')
    expect(debugged).toMatchObject({ level: 'debug', ignored: ['tmpdir', 'copy-plugin'] })
    expect(await agent.stop()).toEqual({ exitCode: 0, killedBy: null })
  })

  test('of a terminal that went away stops the agent, as Ctrl-C would', async () => {
    // Python opens the terminal, waits until the agent writes to it, and goes away with it.
    const script = `
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b''
while b'listening' not in seen:
    seen += os.read(terminal, 4096)
os.close(terminal)
os.waitpid(pid, 0) # Node itself aborts at its very end when its terminal is gone
print(sorted(os.listdir(os.environ['TMPDIR'])))
`
    const serve = [AGENT_PROGRAM, 'serve', '--listen', '127.0.0.1:0', '--no-history', '--directory', directory.path]

    const temporary = mkdtempSync(join(directory.path, 'tmp-'))
    const environment = { ...plainEnvironment(), TMPDIR: temporary }
    const ended = await run('python3', ['-c', script, process.execPath, ...serve], { environment })

    // Its runtime directory is what a stopped agent takes away last.
    expect({ stdout: ended.stdout.toString(), stderr: ended.stderr }).toEqual({ stdout: '[]\n', stderr: '' })
  })
})
