/** The end of a failed plain stream over TLS: every byte that was let go arrives. What is said then: tls-ends.test.ts. */

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { resetWhenArrived, type Wire } from '../../lib/agent/reset.ts'
import { SecureServer } from '../../lib/agent/secure-server.ts'
import { readIdentity } from '../../lib/certificates/index.ts'
import { TestAuthority } from '../rig/certificates.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'

const STALL_MS = 600_000
/** Of a peer that needs no time to read. */
const READ_AT_ONCE = { bytes: 100, elapsedMs: 1000, blockedMs: 0 }
const calm = new AbortController().signal

let scratch: string
let authority: TestAuthority
let server: SecureServer
beforeAll(async () => {
  scratch = makeGuardedDirectory('tls-reset')
  authority = TestAuthority.make(scratch)
  const identity = await readIdentity(authority.issue('localhost'), 'agent', Date.now())
  server = new SecureServer({ identity, authorities: undefined, clients: 'none' })
})
afterAll(() => removeGuardedDirectory(scratch))

/** A real connection over TLS whose reader takes nothing yet. */
const connected = async (): Promise<{ wire: Wire; theirs: TLSSocket }> => {
  const listener = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const theirRaw = connect((listener.address() as AddressInfo).port, '127.0.0.1')
  const [raw] = (await once(listener, 'connection')) as [Socket]
  listener.close()
  const ca = readFileSync(authority.certificate)
  const theirs = connectTls({ socket: theirRaw, ca, servername: 'localhost' })
  theirs.on('error', () => undefined).pause()
  const { socket } = await server.handshake(raw)
  socket.resume()
  return { wire: { socket, raw }, theirs }
}

/** Everything up to the end, whatever the end is. */
const allOf = (socket: TLSSocket): Promise<number> =>
  new Promise((resolve) => {
    let bytes = 0
    socket
      .on('data', (chunk: Buffer) => {
        bytes += chunk.length
      })
      .on('close', () => resolve(bytes))
      .resume()
  })

/** Far more than two systems keep for a connection. */
const MUCH = 64 * 1024 * 1024

test('what TLS holds above the connection arrives, too', async () => {
  const { wire, theirs } = await connected()
  for (let at = 0; at < MUCH; at += MUCH / 16) wire.socket.write(Buffer.alloc(MUCH / 16, 'x'))
  expect(wire.socket.writableLength).toBeGreaterThan(MUCH / 2)
  expect(wire.raw.writableLength).toBe(0) // the connection below knows nothing of it

  const broken = resetWhenArrived(wire, { stallMs: STALL_MS, hurry: calm }, READ_AT_ONCE)
  const bytes = await allOf(theirs)
  await broken

  expect(bytes).toBe(MUCH)
  expect(wire.raw.destroyed || wire.raw.writableEnded).toBe(true)
})

test('what our system has when the agent has to go arrives all the same', async () => {
  const { wire, theirs } = await connected()
  let written = 0
  while (wire.socket.writableLength === 0 && written < 300_000) {
    await new Promise((resolve) => wire.socket.write(Buffer.alloc(10_000, 'x'), resolve))
    written += 10_000
  }

  await resetWhenArrived(wire, { stallMs: STALL_MS, hurry: AbortSignal.abort() }, READ_AT_ONCE)

  expect(await allOf(theirs)).toBe(written)
})
