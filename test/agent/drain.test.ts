/** An agent that was told to end while a backup runs: it lets it end, can be asked about it, and takes no other. */

import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

import { Agent } from '../../lib/agent/agent.ts'
import { type RunningAgent, startAgent } from '../../lib/agent/index.ts'
import { type Answer, AnswerReader } from '../../lib/protocol/index.ts'
import { converse, type RawClient, rawClient } from '../rig/raw-client.ts'

let scratch: string
let agent: RunningAgent
let client: RawClient

const request = (...pairs: string[]): string =>
  `0.77.0\n${pairs.length}\n${pairs.map((pair) => `${pair}\n`).join('')}\n`

const BACKUP = ['action=copy from', 'agent-stream-encoding=application/octet-stream']

const ask = async (...pairs: string[]): Promise<Answer> => {
  const { bytes } = await converse(agent.port, request(...pairs))
  const answer = new AnswerReader().push(bytes)
  if (answer === undefined) throw new Error(`no answer in ${JSON.stringify(bytes.toString().slice(0, 200))}`)
  return answer
}

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'drain-'))
  const source = join(scratch, 'source')
  mkdirSync(source)
  // Larger than all buffers between two sockets: it does not end while its client reads nothing.
  writeFileSync(join(source, 'ibdata1'), randomBytes(32 * 1024 * 1024))
  agent = await startAgent({ port: 0, directory: source, spoolDirectory: scratch })
  client = await rawClient(agent.port)
  client.socket.write(request(...BACKUP, 'sid=running'))
  await client.hasReceived(100_000)
  client.socket.pause()
})
afterEach(async () => {
  client.socket.destroy()
  await agent.stop()
  rmSync(scratch, { recursive: true })
})

test('the running backup can be asked for until it has ended, and ends well', async () => {
  const stopped = agent.stop()

  const status = await ask('action=status')
  const verdict = await ask('action=verdict', 'sid=running')
  client.socket.resume()
  const { ended } = await client.ended()
  await stopped

  expect(status.block.get('msg')).toBe('shutting down, 1 running')
  expect(status.block.get('jobs')).toBe('1')
  expect(verdict.block.get('status')).toBe('RUNNING')
  expect(ended).toBe('fin')
})

test('the running backup can be cancelled', async () => {
  const stopped = agent.stop()

  const cancelled = await ask('action=cancel', 'sid=running')
  await stopped

  expect(cancelled.block.get('cancelled')).toBe('1')
})

test('another backup is refused by name, and the agent is gone when the first one is', async () => {
  const stopped = agent.stop()

  const { ready, block } = await ask(...BACKUP, 'sid=late')
  client.socket.resume()
  await client.ended()
  await stopped

  expect(ready).toBe(false)
  expect(block.get('code')).toBe('JOB_DRAINING')
  await expect(rawClient(agent.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

test('there is one time to drain, however many wait for it', async () => {
  const quiet = await Agent.open({ directory: join(scratch, 'source') })

  expect(quiet.drain()).toBe(quiet.drain())

  await quiet.stop()
})
