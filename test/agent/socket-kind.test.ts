/** What a descriptor is that somebody else opened, read from the kernel's own table. */

import { once } from 'node:events'
import { openSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { expect, test } from '@jest/globals'

import { findState, socketKind } from '../../lib/agent/socket-kind.ts'
import { acceptBacklog, findBacklog } from '../../lib/agent/tcp-table.ts'

const TABLE = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:62D4 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 40110 1 0000 100 0 0 10 0
   1: 0100007F:62D4 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 40113 1 0000 20 4 30 10 -1
`

test.each([
  [40110, '0A'],
  [40113, '01'],
  [4011, undefined],
  [0, undefined],
])('the socket with the inode %d is in state %s', (inode, state) => {
  expect(findState(TABLE, inode)).toBe(state)
})

test('of a socket that listens, so many wait to be accepted; of a connection that is not said', () => {
  expect(findBacklog(TABLE, '127.0.0.1', 25_300)).toBe(3)
  expect(findBacklog(TABLE, '127.0.0.1', 25_301)).toBeUndefined()
})

const descriptorOf = (handle: unknown): number => (handle as { _handle: { fd: number } })._handle.fd

test.each(['127.0.0.1', '::'])('real sockets on %s: one that listens, and a connection', async (host) => {
  const server = createServer().listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const client = connect({ port, host: host === '::' ? '::1' : host })
  await once(client, 'connect')
  const [peer] = await accepted

  expect(socketKind(descriptorOf(server))).toBe('listening')
  expect(socketKind(descriptorOf(client))).toBe('connection')
  await expect(acceptBacklog(host, port)).resolves.toBe(0)

  client.destroy()
  peer.destroy()
  server.close()
})

test('a file is none, and the error says so', () => {
  expect(() => socketKind(openSync('/dev/null', 'r'))).toThrow(
    expect.objectContaining({
      code: 'AGENT_DESCRIPTOR',
      message: expect.stringContaining('found a terminal or device'),
    }),
  )
})
