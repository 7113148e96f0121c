/** Where an agent listens, and who is served in clear. */

import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { startAgent } from '../../lib/agent/index.ts'
import type { Visitor } from '../../lib/agent/connection-gate.ts'
import { secure } from '../../lib/agent/secure-connection.ts'
import { silentLogger } from '../../lib/log/index.ts'
import { AGENT_PROGRAM } from '../rig/agent-process.ts'
import { TestAuthority, type TestIdentity } from '../rig/certificates.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { converse, rawClient } from '../rig/raw-client.ts'
import { runProgram } from '../rig/run-program.ts'

const PING = '0.77.0\n1\naction=ping\n\n'

let scratch: string
let directory: string
let tls: TestIdentity
beforeAll(() => {
  scratch = makeGuardedDirectory('exposure')
  directory = join(scratch, 'source')
  mkdirSync(directory)
  writeFileSync(join(directory, 'ibdata1'), 'x')
  tls = TestAuthority.make(scratch).issue('localhost')
})
afterAll(() => removeGuardedDirectory(scratch))

test.each(['0.0.0.0', '::', '192.0.2.1'])('an agent does not start at %s in clear', async (host) => {
  await expect(startAgent({ host, port: 0, directory })).rejects.toMatchObject({ code: 'AGENT_INSECURE' })
})

test.each<[string, () => object]>([
  ['by an explicit decision', () => ({ insecure: true })],
  ['over TLS', () => ({ tls })],
])('%s it does', async (_, settings) => {
  const agent = await startAgent({ host: '0.0.0.0', port: 0, directory, ...settings() })

  const { bytes } = await converse(agent.port, PING)
  await agent.stop()

  expect(bytes.toString()).toMatch(/^READY|AGENT_TLS_REQUIRED/)
})

test('a name is looked at when it is known what it stands for', async () => {
  const agent = await startAgent({ host: 'localhost', port: 0, directory })

  expect(['127.0.0.1', '::1']).toContain(agent.host)
  await agent.stop()
})

test('settings that would serve others in clear are not taken over, and the agent goes on', async () => {
  const agent = await startAgent({ port: 0, directory })
  const { port } = agent

  await expect(agent.reload({ host: '0.0.0.0', port: 0, directory })).rejects.toMatchObject({ code: 'AGENT_INSECURE' })
  const { bytes } = await converse(port, PING)
  await agent.stop()

  expect(bytes.toString()).toMatch(/^READY/)
})

test('an agent that serves others over TLS does not lose it by a reload', async () => {
  const agent = await startAgent({ host: '0.0.0.0', port: 0, directory, tls })

  await expect(agent.reload({ host: '0.0.0.0', port: 0, directory })).rejects.toMatchObject({ code: 'AGENT_INSECURE' })
  const { bytes } = await converse(agent.port, PING)
  await agent.stop()

  expect(bytes.toString()).toContain('AGENT_TLS_REQUIRED')
})

test('`config` says it before a start does', async () => {
  const run = await runProgram(process.execPath, [AGENT_PROGRAM, 'config', '--listen', '0.0.0.0:25300'])
  const decided = await runProgram(process.execPath, [
    AGENT_PROGRAM,
    'config',
    '--listen',
    '0.0.0.0:25300',
    '--insecure',
  ])

  expect(run.exitCode).toBe(2)
  expect(run.stderr).toMatch(/\[AGENT_INSECURE\]\n {2}hint: .*tls-cert/)
  expect(decided.exitCode).toBe(0)
})

describe('a socket that somebody else opened', () => {
  /** A real connection, as if it had come to another address of this host. */
  const connectionTo = async (
    localAddress: string,
  ): Promise<{ client: Awaited<ReturnType<typeof rawClient>>; raw: Socket }> => {
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const [client, [raw]] = await Promise.all([
      rawClient((server.address() as AddressInfo).port),
      once(server, 'connection') as Promise<[Socket]>,
    ])
    server.close()
    Object.defineProperty(raw, 'localAddress', { value: localAddress })
    return { client, raw }
  }
  const visitor = { mayLog: () => false, left: () => undefined } as unknown as Visitor
  const options = { deadlineMs: 10_000, hurry: new AbortController().signal, visitor, log: silentLogger() }

  test.each(['192.0.2.1', '::ffff:192.0.2.1', 'fd00::1'])(
    'is refused in words where it came to %s in clear',
    async (address) => {
      const { client, raw } = await connectionTo(address)
      client.socket.write(PING)

      const channel = await secure(raw, { door: undefined, isInsecure: false }, options)
      const { bytes, ended } = await client.ended()

      expect(channel).toBeUndefined()
      expect(bytes.toString()).toMatch(
        /^3\nstatus=FAILED\nmsg=this agent serves its own host alone[^\n]*\ncode=AGENT_INSECURE\n\n$/,
      )
      expect(ended).toBe('fin')
    },
  )

  test.each([
    ['127.0.0.9', false],
    ['::ffff:127.0.0.1', false],
    ['192.0.2.1', true],
  ])('is served where it came to %s, decided so: %s', async (address, isInsecure) => {
    const { raw, client } = await connectionTo(address)

    const channel = await secure(raw, { door: undefined, isInsecure }, options)

    expect(channel).toMatchObject({ isSecure: false, certificateNames: [], address: '127.0.0.1' })
    expect(channel?.socket).toBe(raw)
    raw.destroy()
    client.socket.destroy()
  })
})
