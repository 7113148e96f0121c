/**
 * Sockets from systemd, by its own `systemd-socket-activate`, and what a service tells it, by a datagram socket.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'

import { AGENT_PROGRAM, AgentProcess } from '../rig/agent-process.ts'
import { DatagramReceiver } from '../rig/datagrams.ts'
import { freePorts } from '../rig/free-port.ts'
import { forgetProcess, watchProcess } from '../rig/guard.ts'
import { converse, rawClient } from '../rig/raw-client.ts'
import { plainEnvironment } from '../rig/run-program.ts'

const PING = '0.77.0\n1\naction=ping\n\n'
const PONG = /^READY\n4\nstatus=OK\nmsg=pong\n/

let scratch: string
let directory: string[]
const started: ChildProcess[] = []

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'systemd-'))
  writeFileSync(join(scratch, 'ibdata1'), Buffer.alloc(100_000, 'x'))
  directory = ['--engine', 'directory', '--directory', scratch]
})
afterAll(() => rmSync(scratch, { recursive: true }))
afterEach(async () => {
  for (const child of started.splice(0)) {
    const exited = once(child, 'exit')
    if (child.exitCode === null && child.kill('SIGTERM')) await exited
    forgetProcess(child.pid ?? 0)
  }
})

interface Activated {
  readonly ports: readonly number[]
  /** What the tool, and the agents it became or started, have said on standard error. */
  stderr(): string
  readonly pid: number
}

/** The tool listens, and becomes the agent (or starts one for each connection) when somebody comes. */
const activate = async (
  flags: readonly string[],
  agentWords: readonly string[],
  { sockets = 1, engine = directory }: { sockets?: number; engine?: readonly string[] } = {},
): Promise<Activated> => {
  const ports = await freePorts(sockets)
  const listen = ports.flatMap((port) => ['-l', `127.0.0.1:${port}`])
  const words = [...listen, ...flags, '--', process.execPath, AGENT_PROGRAM, ...agentWords, ...engine, '--no-history']
  const child = spawn('systemd-socket-activate', words, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: plainEnvironment(),
    detached: true,
  })
  started.push(child)
  watchProcess(child.pid ?? 0, 'systemd-socket-activate')
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  while ((stderr.match(/Listening on/g) ?? []).length < sockets) {
    if (child.exitCode !== null) throw new Error(`systemd-socket-activate ended:\n${stderr}`)
    await delay(10)
  }
  return { ports, stderr: () => stderr, pid: child.pid ?? 0 }
}

test('a socket unit with Accept=no: serve takes its sockets, all of them, in place of a port of its own', async () => {
  const { ports, stderr, pid } = await activate([], ['serve'], { sockets: 2 })

  const answers = [await converse(ports[0] ?? 0, PING), await converse(ports[1] ?? 0, PING)]

  for (const { bytes } of answers) expect(bytes.toString()).toMatch(PONG)
  for (const port of ports) expect(stderr()).toContain(`"port":${port}`)
  expect(stderr()).not.toContain('"port":25300')
  expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toContain('backup-agent.cjs') // it became the agent by exec
})

test('a socket unit with Accept=yes and StandardInput=socket: one process for each connection', async () => {
  const { ports, stderr } = await activate(['--accept', '--inetd'], ['inetd', '--log', 'stderr'])

  const first = await converse(ports[0] ?? 0, PING)
  const second = await converse(ports[0] ?? 0, PING)

  expect(first.bytes.toString()).toMatch(PONG)
  expect(second.bytes.toString()).toMatch(PONG)
  // Standard error is not the client's socket there: it stays, and has the log.
  const pids = [...stderr().matchAll(/"pid":(\d+)[^\n]*"msg":"request"/g)].map(([, pid]) => pid)
  expect(new Set(pids).size).toBe(2)
})

test('a socket unit with Accept=yes and without StandardInput=socket: the connection is descriptor 3', async () => {
  const { ports } = await activate(['--accept'], ['inetd', '--log', 'none'])

  const { bytes, ended } = await converse(ports[0] ?? 0, PING)

  expect(bytes.toString()).toMatch(PONG)
  expect(ended).toBe('fin')
})

test('a socket unit with Accept=no and StandardInput=socket: inetd --wait serves many and leaves', async () => {
  const { ports } = await activate(['--inetd'], ['inetd', '--wait', '--idle-seconds', '1', '--log', 'none'])
  const child = started[0] as ChildProcess
  const exited = once(child, 'exit')

  const answers = [await converse(ports[0] ?? 0, PING), await converse(ports[0] ?? 0, PING)]
  const [exitCode] = await exited

  for (const { bytes } of answers) expect(bytes.toString()).toMatch(PONG)
  expect(exitCode).toBe(0)
})

describe('with a service manager that listens', () => {
  let receiver: DatagramReceiver
  let socket: string
  afterEach(() => receiver.stop())

  const serve = async (more: Readonly<Record<string, string>> = {}): Promise<AgentProcess> => {
    socket = join(scratch, `notify-${started.length}-${Math.random()}`)
    receiver = await DatagramReceiver.start(socket)
    return AgentProcess.start(directory, { environment: { ...plainEnvironment(), NOTIFY_SOCKET: socket, ...more } })
  }

  test('it is told when the agent listens, and when it stops', async () => {
    const agent = await serve()

    const ready = await receiver.received((text) => text.startsWith('READY=1'))
    await agent.stop()

    expect(ready).toBe(`READY=1\nSTATUS=serving directory 1 on 127.0.0.1:${agent.port}`)
    expect(receiver.datagrams.filter((text) => !text.startsWith('BARRIER'))).toEqual([
      ready,
      'STOPPING=1\nSTATUS=a running backup may end',
    ])
  })

  test('it gets signs of life at half of the time, from an agent that lives', async () => {
    const agent = await serve({ WATCHDOG_USEC: '200000' })

    await receiver.received((text) => text === 'WATCHDOG=1')
    await agent.stop()
  })

  test('a watchdog that is meant for another process is none', async () => {
    const agent = await serve({ WATCHDOG_USEC: '1000', WATCHDOG_PID: '1' })

    await receiver.received((text) => text.startsWith('READY=1'))
    await converse(agent.port, PING)
    await agent.stop()

    expect(receiver.datagrams).not.toContain('WATCHDOG=1')
  })
})

test('a service manager that cannot be told is a warning, and no reason to stop', async () => {
  const agent = await AgentProcess.start(directory, {
    environment: { ...plainEnvironment(), NOTIFY_SOCKET: join(scratch, 'nobody') },
  })

  await agent.logged('the service manager cannot be told how the agent is')
  const { bytes } = await converse(agent.port, PING)
  const { exitCode } = await agent.stop()

  expect(bytes.toString()).toMatch(PONG)
  expect(exitCode).toBe(0)
})

test('a backup program gets neither the sockets nor what the service manager said about them', async () => {
  const bin = mkdtempSync(join(scratch, 'bin-'))
  // A backup program that says which descriptors and variables it was given, and fails.
  writeFileSync(
    join(bin, 'mariadb-backup'),
    `#!/bin/sh
case " $* " in
  *' --version '*) echo 'mariadb-backup based on MariaDB server 10.11.19-MariaDB stand-in (x86_64)'; exit 0 ;;
  *' --help '*) exit 0 ;;
esac
ls -l /proc/$$/fd > ${bin}/descriptors
env > ${bin}/environment
exit 1
`,
    { mode: 0o755 },
  )
  const path = `${bin}:/usr/bin:/bin`
  const { ports } = await activate(['-E', `PATH=${path}`, '-E', 'NOTIFY_SOCKET=/nobody'], ['serve'], {
    engine: ['--engine', 'mariadb-backup'],
  })

  const client = await rawClient(ports[0] ?? 0)
  client.socket.write('0.76.1\n5\naction=copy from\nuser=u\npassword=p\nbackup-level=0\nfile=ZRM_LINKS/.\n\n')
  await client.ended()

  const descriptors = readFileSync(join(bin, 'descriptors'), 'utf8')
  const environment = readFileSync(join(bin, 'environment'), 'utf8')
  expect(environment).not.toMatch(/^(LISTEN_|NOTIFY_|WATCHDOG_)/m)
  expect(descriptors).not.toContain(listeningInode(started[0]?.pid ?? 0))
})

/** `socket:[40113]` of the agent's descriptor 3. */
const listeningInode = (pid: number): string => {
  expect(readdirSync(`/proc/${pid}/fd`)).toContain('3')
  return readlinkSync(`/proc/${pid}/fd/3`)
}
