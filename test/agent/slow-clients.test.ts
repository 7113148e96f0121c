/** Clients that read slowly, or stop reading near the end: one truth about each backup, and nothing hangs. */

import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { type RunningAgent, startAgent } from '../../lib/agent/index.ts'
import { createDecoder } from '../../lib/encodings/index.ts'
import { AnswerReader } from '../../lib/protocol/index.ts'
import { converse, rawClient } from '../rig/raw-client.ts'

const MB = 1_000_000

let scratch: string

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'slow-clients-'))
})
afterAll(() => {
  rmSync(scratch, { recursive: true })
})

const directoryOf = (bytes: number): string => {
  const directory = join(scratch, `source-${bytes}`)
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'ibdata1'), randomBytes(bytes))
  return directory
}

const plainRequest = (sid: string): string =>
  `0.76.1\n6\naction=copy from\nbackup-level=0\nfile=ZRM_LINKS/.\nsid=${sid}\n` +
  'agent-stream-encoding=application/x-uuencode-stream\nagent-stream-block-size=1048576\n\n'

const framedRequest = (sid: string): string =>
  `0.77.0\n3\naction=copy from\nsid=${sid}\nagent-stream-encoding=application/x-framed-stream\n\n`

const ask = async (agent: RunningAgent, action: string, sid: string): Promise<string> =>
  (await converse(agent.port, `0.77.0\n2\naction=${action}\nsid=${sid}\n\n`)).bytes.toString()

test('a client that takes bytes steadily is not stalled, however long a whole piece takes', async () => {
  const agent = await startAgent({
    port: 0,
    directory: directoryOf(48 * MB),
    spoolDirectory: scratch,
    seconds: { stall: 3 },
  })
  const client = await rawClient(agent.port)
  client.socket.on('data', (chunk: Buffer) => {
    client.socket.pause()
    setTimeout(() => client.socket.resume(), chunk.length / 300) // 300 kB a second
  })
  client.socket.write(framedRequest('steady'))

  // The buffers of two sockets hold less than that: a part of it had to be taken slowly.
  await client.hasReceived(5 * MB)
  const verdict = await ask(agent, 'verdict', 'steady')
  client.socket.destroy()
  await agent.stop()

  expect(verdict).toContain('status=RUNNING')
})

describe('a client of 0.76 that stops reading near the end', () => {
  let agent: RunningAgent
  const bytes = 24 * MB

  beforeAll(async () => {
    agent = await startAgent({ port: 0, directory: directoryOf(bytes), spoolDirectory: scratch })
  })
  afterAll(() => agent.stop())

  const wireBytes = bytes * 1.38
  const lefts = Array.from({ length: 20 }, (_, step) => 2 + step / 2)

  test.each(lefts)('has the whole backup or a cancelled one, never both (%d MB before it)', async (left) => {
    const sid = `left-${left}`
    const client = await rawClient(agent.port)
    client.socket.write(plainRequest(sid))
    await client.hasReceived(wireBytes - left * MB)
    client.socket.pause()

    const answer = await ask(agent, 'cancel', sid)
    client.socket.resume()
    const { bytes: received, ended } = await client.ended()
    const verdict = await ask(agent, 'verdict', sid)
    const decoder = createDecoder('uuencode')
    const { status } = spawnSync('tar', ['-t', '-f', '-'], {
      input: Buffer.concat(decoder.decode(new AnswerReader().push(received)?.rest ?? Buffer.alloc(0))),
    })

    const isCancelled = answer.includes('cancelled=1')
    expect({ ended, isWhole: status === 0, verdict: /status=(\w+)/.exec(verdict)?.[1] }).toEqual(
      isCancelled
        ? { ended: 'reset', isWhole: false, verdict: 'FAILED' }
        : { ended: 'fin', isWhole: true, verdict: 'COMPLETE' },
    )
  })
})

test.each([2.6, 2.8, 3, 3.2, 3.6, 4, 4.5, 5])(
  'an agent that is told to stop goes, though a client has not read the end of its %d MB',
  async (megabytes) => {
    const agent = await startAgent({
      port: 0,
      directory: directoryOf(megabytes * MB),
      spoolDirectory: scratch,
      seconds: { receipt: 1, drain: 0 },
    })
    const client = await rawClient(agent.port)
    client.socket.pause()
    client.socket.write(framedRequest('stuck'))
    let shown = ''
    while (!shown.includes('bytes=') || /bytes=0\n/.test(shown)) shown = await ask(agent, 'verdict', 'stuck')

    await agent.stop()
    client.socket.destroy()

    expect(shown).toMatch(/status=(RUNNING|COMPLETE)/)
  },
)
