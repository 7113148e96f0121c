/**
 * `inetd --wait` behind a real xinetd: one process serves many, leaves when nobody comes, and loses nobody by it.
 */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { agentStatus, fetchBackup } from '../../lib/client/index.ts'
import { converse, rawClient } from '../rig/raw-client.ts'
import { Strangers } from '../rig/strangers.ts'
import { Xinetd } from '../rig/xinetd.ts'

const PING = '0.77.0\n1\naction=ping\n\n'
const PONG = /^READY\n4\nstatus=OK\nmsg=pong\n/
const IDLE_MS = 1000

let scratch: string
let xinetd: Xinetd

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'inetd-wait-'))
  const source = join(scratch, 'source')
  mkdirSync(source)
  writeFileSync(join(source, 'ibdata1'), Buffer.alloc(100_000, 'x'))
  const args = ['--engine', 'directory', '--directory', source, '--no-history', '--log', `file:${logFile()}`]
  xinetd = await Xinetd.start([
    { name: 'waiting', wait: true, args: ['inetd', '--wait', '--idle-seconds', `${IDLE_MS / 1000}`, ...args] },
    { name: 'staying', wait: true, args: ['inetd', '--wait', ...args] },
    { name: 'confused', wait: true, args: ['inetd', ...args] },
    { name: 'helping', wait: true, args: ['inetd', '--help'] },
    {
      name: 'crowded',
      wait: true,
      args: ['inetd', '--wait', '--connections-unknown', '8', '--idle-seconds', `${IDLE_MS / 1000}`, ...args],
    },
  ])
})
afterAll(async () => {
  for (const pid of pids()) endProcess(pid)
  await xinetd.stop()
  rmSync(scratch, { recursive: true })
})

const logFile = (): string => join(scratch, 'agent.log')

/** Every process that has written to the log, in order. */
const pids = (): number[] => [
  ...new Set(
    readFileSync(logFile(), 'utf8')
      .split('\n')
      .slice(0, -1) // what follows the last line's end is still being written
      .map((line) => (JSON.parse(line) as { pid: number }).pid),
  ),
]

const endProcess = (pid: number): void => {
  try {
    process.kill(pid, 'SIGTERM')
  } catch {
    // it has left by itself
  }
}

test('one process serves many, one after the other and at the same time, backups among them', async () => {
  const port = xinetd.port('staying')
  const before = await agentStatus({ host: '127.0.0.1', port })

  const answers = await Promise.all(Array.from({ length: 20 }, () => converse(port, PING)))
  const file = join(scratch, 'backup.tar')
  const receipt = await fetchBackup({ host: '127.0.0.1', port, target: { file } }).receipt
  const after = await agentStatus({ host: '127.0.0.1', port })

  expect(answers.map(({ bytes }) => bytes.toString())).toEqual(Array(20).fill(expect.stringMatching(PONG)))
  expect(receipt.proof).toBe('agent-verdict')
  expect(after.uptimeSeconds).toBeGreaterThanOrEqual(before.uptimeSeconds)
  expect(pids()).toHaveLength(1)
})

test('who comes around the moment in which a process leaves is served, by that one or the next', async () => {
  const port = xinetd.port('waiting')
  const others = pids().length
  const served: string[] = []

  // Around the end of the idle time, in steps of a few milliseconds: some find the old process, some a new one.
  for (let offsetMs = -60; offsetMs <= 60; offsetMs += 10) {
    const { bytes } = await converse(port, PING)
    served.push(bytes.toString())
    await delay(IDLE_MS + offsetMs)
  }

  expect(served).toEqual(served.map(() => expect.stringMatching(PONG)))
  expect(pids().length - others).toBeGreaterThan(1) // else nobody has left, and nothing was tried
})

test('a connection that is open keeps the process, though nothing is said on it for longer than the idle time', async () => {
  const port = xinetd.port('waiting')
  const client = await rawClient(port)
  client.socket.write(PING.slice(0, 10))

  await delay(2 * IDLE_MS)
  client.socket.write(PING.slice(10))
  const { bytes } = await client.ended()

  expect(bytes.toString()).toMatch(PONG)
})

test('without --wait on a socket that listens: every client is told what is wrong with the service', async () => {
  const answers = [await converse(xinetd.port('confused'), PING), await converse(xinetd.port('confused'), PING)]

  for (const { bytes } of answers) {
    expect(bytes.toString()).toMatch(/^3\nstatus=FAILED\nmsg=the agent cannot start: expected a connection/)
    expect(bytes.toString()).toContain('code=AGENT_DESCRIPTOR\n')
  }
})

test('with a command that prints and ends: every client is told that it serves nobody', async () => {
  const { bytes } = await converse(xinetd.port('helping'), PING)

  expect(bytes.toString()).toMatch(/^3\nstatus=FAILED\nmsg=the agent cannot start: expected a command that serves/)
})

test('strangers take the places that the agent gives them, and nobody else is kept out', async () => {
  const port = xinetd.port('crowded')
  await converse(port, PING)
  const strangers = await Strangers.come({ port, count: 100, sources: 1 })

  const { bytes } = await converse(port, PING)

  expect(bytes.toString()).toMatch(PONG)
  await Promise.race(strangers.all.map(({ closed }) => closed))
  await strangers.leave()
})
