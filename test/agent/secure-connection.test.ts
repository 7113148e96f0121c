/** Connections over TLS, with clients that are none of ours: OpenSSL, Python, socat. */

import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { daysFromNow, TestAuthority, type TestIdentity } from '../rig/certificates.ts'
import { AgentProcess } from '../rig/agent-process.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { converse, rawClient } from '../rig/raw-client.ts'
import { runProgram } from '../rig/run-program.ts'
import { tlsReader } from '../rig/tls-reader.ts'

const PING = '0.77.0\n1\naction=ping\n\n'

let scratch: string
let authority: TestAuthority
let ca: string
let own: TestIdentity
/** Asks for no certificate. */
let open: AgentProcess
/** Wants one. */
let closed: AgentProcess
/** Takes one, and does without. */
let optional: AgentProcess
let source: string[]

beforeAll(async () => {
  scratch = makeGuardedDirectory('secure')
  authority = TestAuthority.make(scratch)
  ca = authority.certificate
  own = authority.issue('localhost', { names: ['DNS:localhost', 'IP:127.0.0.1'] })
  const directory = join(scratch, 'source')
  mkdirSync(directory)
  writeFileSync(join(directory, 'ibdata1'), Buffer.alloc(3_000_000, 'x'))
  source = ['--directory', directory, '--tls-cert', own.certificate, '--tls-key', own.key]
  open = await AgentProcess.start([...source, '--request-seconds', '2'])
  closed = await AgentProcess.start([...source, '--tls-client-ca', ca])
  optional = await AgentProcess.start([...source, '--tls-client-ca', ca, '--tls-clients', 'optional'])
})
afterAll(async () => {
  await Promise.all([open, closed, optional].map((agent) => agent.stop()))
  await removeGuardedDirectory(scratch)
})

const askedBy: Readonly<Record<string, (port: number, request: string) => Promise<string>>> = {
  'openssl s_client': async (port, input) => {
    const words = ['s_client', '-quiet', '-connect', `127.0.0.1:${port}`, '-CAfile', ca, '-verify_return_error']
    return (await runProgram('openssl', [...words, '-verify_hostname', 'localhost'], { input })).stdout.toString()
  },
  "Python's ssl": async (port, request) => {
    const { bytes, ended } = await tlsReader({ port, request, ca }).ended()
    expect(ended).toBe('finished')
    return bytes.toString()
  },
  // It closes its half behind the request.
  socat: async (port, input) => {
    const address = `OPENSSL:127.0.0.1:${port},cafile=${ca},commonname=localhost`
    return (await runProgram('socat', ['-t', '60', '-', address], { input })).stdout.toString()
  },
  "Python's ssl with TLS 1.2": async (port, request) =>
    (await tlsReader({ port, request, ca, maximum: 'TLSv1_2' }).ended()).bytes.toString(),
}

test.each(Object.keys(askedBy))('%s is answered', async (client) => {
  const answer = await askedBy[client]?.(open.port, PING)

  expect(answer).toMatch(/^READY\n[\s\S]*status=OK\n[\s\S]*\n\n$/)
})

test.each(['TLSv1', 'TLSv1_1'])('%s is too old', async (maximum) => {
  const { bytes, ended } = await tlsReader({ port: open.port, request: PING, ca, maximum }).ended()

  expect(bytes.length).toBe(0)
  expect(ended).toMatch(/^refused: .*(PROTOCOL|VERSION)/)
})

/** Passes on what the client says one byte at a time. */
const byteByByte = async (port: number): Promise<{ port: number; close(): void }> => {
  const server = createServer((client) => {
    const agent = connect({ port, host: '127.0.0.1', noDelay: true })
    agent.on('data', (bytes) => client.write(bytes)).on('end', () => client.end())
    const pass = async (): Promise<void> => {
      for await (const chunk of client) {
        for (const byte of chunk as Buffer) await new Promise((resolve) => agent.write(Buffer.of(byte), resolve))
      }
      agent.end()
    }
    pass().catch(() => agent.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, close: () => server.close() }
}

test('a handshake and a request that come one byte at a time are understood', async () => {
  const proxy = await byteByByte(open.port)

  const { bytes, ended } = await tlsReader({ port: proxy.port, request: PING, ca }).ended()
  proxy.close()

  expect(bytes.toString()).toMatch(/^READY\n/)
  expect(ended).toBe('finished')
})

describe('who asks in clear', () => {
  const refusal = /^3\nstatus=FAILED\nmsg=this agent speaks TLS here, [^\n]*--tls[^\n]*\ncode=AGENT_TLS_REQUIRED\n\n$/

  test.each([
    ['a whole request', PING],
    ['a request of an older client', '0.76.1\n2\naction=monitor\npassword=secret\n\n'],
    ['one byte', '0'],
    ['something else', 'GET / HTTP/1.1\r\n\r\n'],
  ])('with %s is told so, and how to ask', async (_, request) => {
    const { bytes, ended } = await converse(open.port, request, { halfClose: true })

    expect(bytes.toString()).toMatch(refusal)
    expect(ended).toBe('fin')
    expect(open.stderr).not.toContain('secret')
  })

  test('is told at the first byte, whatever comes behind it', async () => {
    const client = await rawClient(open.port)
    client.socket.write('0')
    await client.hasReceived(1)
    client.socket.write('.77.0\n1\naction=ping\n\n')

    const { bytes } = await client.ended()

    expect(bytes.toString()).toMatch(refusal)
  })
})

describe('a handshake', () => {
  test('that never ends is ended with the deadline of the request', async () => {
    const client = await rawClient(open.port)
    client.socket.write(Buffer.of(0x16, 3, 1))

    const { bytes } = await client.ended()

    expect(bytes.length).toBe(0)
    await open.logged((line) => line['code'] === 'AGENT_REQUEST_TIMEOUT' && line.msg.includes('TLS handshake'))
  })

  test('that comes a byte now and then does not have more time for it', async () => {
    const client = await rawClient(open.port)
    // A record of 16,383 bytes: at this pace it would take half an hour.
    client.socket.on('error', () => undefined).write(Buffer.of(0x16, 3, 1, 0x3f, 0xff))
    const drip = setInterval(() => client.socket.write(Buffer.of(0)), 100)
    const said = open.logs.length

    await client.ended()
    clearInterval(drip)
    await open.logged('refused: no TLS handshake within 2 s')
    expect(open.logs.slice(said).map(({ code }) => code)).not.toContain('AGENT_TLS_HANDSHAKE')
  })

  test('that is broken off leaves an agent that answers', async () => {
    const client = await rawClient(open.port)
    client.socket.write(Buffer.of(0x16, 3, 1, 0, 5))
    client.socket.resetAndDestroy()
    const other = await rawClient(open.port)
    other.socket.write(Buffer.from('160301000401000000', 'hex'))
    await other.ended()

    expect(await askedBy["Python's ssl"]?.(open.port, PING)).toMatch(/^READY/)
  })

  test('that its client ends is over then, and not at its deadline', async () => {
    const client = await rawClient(closed.port)
    client.socket.end(Buffer.of(0x16, 3, 1, 0, 5))

    await client.ended()

    await closed.logged((line) => line['code'] === 'AGENT_TLS_HANDSHAKE')
  })

  test('that went well does not prolong the deadline of the request', async () => {
    const { bytes, ended } = await tlsReader({ port: open.port, request: '0.77.0\n1\n', ca }).ended()

    expect(bytes.toString()).toMatch(
      /^3\nstatus=FAILED\nmsg=no whole request within 2 s\ncode=AGENT_REQUEST_TIMEOUT\n\n$/,
    )
    expect(ended).toBe('finished')
  })
})

describe('an agent that wants certificates', () => {
  const refusal =
    /^3\nstatus=FAILED\nmsg=expected a certificate of the client [^\n]*--tls-cert[^\n]*\ncode=AGENT_TLS_CLIENT\n\n$/
  const bad: Readonly<Record<string, () => Partial<TestIdentity>>> = {
    none: () => ({}),
    'one of another authority': () => TestAuthority.make(scratch, 'foreign').issue('nightly'),
    'one that has expired': () => authority.issue('expired', { from: daysFromNow(-9), until: daysFromNow(-1) }),
    'one for servers': () => authority.issue('for-servers', { purpose: 'serverAuth' }),
  }

  const identityOf = ({ certificate, key }: Partial<TestIdentity>): { cert?: string; key?: string } =>
    certificate === undefined || key === undefined ? {} : { cert: certificate, key }

  test.each(Object.keys(bad).flatMap((which) => ['TLSv1_2', 'TLSv1_3'].map((maximum) => ({ which, maximum }))))(
    'refuses $which before anything is asked, over $maximum',
    async ({ which, maximum }) => {
      const identity = made.get(which) ?? bad[which]?.() ?? {}
      made.set(which, identity)

      // Nothing is asked: whatever is said comes of the certificate alone.
      const { bytes, ended } = await tlsReader({
        port: closed.port,
        request: '',
        ca,
        maximum,
        ...identityOf(identity),
      }).ended()

      expect(bytes.toString()).toMatch(refusal)
      expect(ended).toBe('finished')
    },
  )
  const made = new Map<string, Partial<TestIdentity>>()

  test('answers who has one, and logs the names in it with the request', async () => {
    const identity = authority.issue('nightly', {
      names: ['DNS:nightly', 'DNS:backup.example.com'],
      purpose: 'clientAuth',
    })

    const { bytes } = await tlsReader({ port: closed.port, request: PING, ca, ...identityOf(identity) }).ended()

    expect(bytes.toString()).toMatch(/^READY\n/)
    expect(await closed.logged('request')).toMatchObject({ certificate: ['nightly', 'backup.example.com'] })
  })

  test('optionally, answers who has none, and refuses one that is not trusted', async () => {
    const foreign = TestAuthority.make(scratch, 'foreign too').issue('nightly')
    const without = await tlsReader({ port: optional.port, request: PING, ca }).ended()
    const untrusted = await tlsReader({ port: optional.port, request: PING, ca, ...identityOf(foreign) }).ended()

    expect(without.bytes.toString()).toMatch(/^READY\n/)
    expect((await optional.logged('request'))['certificate']).toBeUndefined()
    expect(untrusted.bytes.toString()).toMatch(refusal)
  })
})

test('an agent without TLS tells a TLS client so at once', async () => {
  const agent = await AgentProcess.start(source.slice(0, 2))

  const { bytes } = await converse(agent.port, Buffer.from('1603010200010001fc0303', 'hex'))
  await agent.stop()

  expect(bytes.toString()).toMatch(
    /^3\nstatus=FAILED\nmsg=this agent speaks no TLS here[^\n]*\ncode=AGENT_TLS_NONE\n\n$/,
  )
})

test('an agent that is told to stop waits for no handshake', async () => {
  const agent = await AgentProcess.start([...source, '--request-seconds', '3600'])
  const socket: Socket = connect(agent.port, '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  await new Promise((resolve) => socket.write(Buffer.of(0x16), resolve))

  const { exitCode } = await agent.stop()

  expect(exitCode).toBe(0)
  socket.destroy()
})
