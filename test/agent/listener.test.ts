import { once } from 'node:events'
import { type AddressInfo, connect, createServer, Server } from 'node:net'
import { afterEach, expect, jest, test } from '@jest/globals'

import { type Listener, type ListenerOptions, listen, listenerOf } from '../../lib/agent/listener.ts'

const listeners: Listener[] = []
afterEach(() => {
  for (const listener of listeners.splice(0)) listener.close()
  jest.restoreAllMocks()
})

const listening = async (changes: Partial<ListenerOptions> = {}): Promise<Listener> => {
  const ignored = (): void => undefined
  const listener = await listen({
    host: '127.0.0.1',
    port: 0,
    maxConnections: 9,
    onConnection: ignored,
    onDropped: ignored,
    onTrouble: ignored,
    ...changes,
  })
  listeners.push(listener)
  return listener
}

test('a port that is taken is refused by name', async () => {
  const { port } = await listening()

  await expect(listening({ port })).rejects.toMatchObject({ code: 'AGENT_LISTEN', facts: { errno: 'EADDRINUSE' } })
})

test('a system that hands over no connections is said once, and ends nothing', async () => {
  const spy = jest.spyOn(Server.prototype, 'listen')
  const said: string[] = []
  await listening({ onTrouble: (errno) => said.push(errno) })
  const server = spy.mock.contexts[0] as Server
  // What Node does for every connection that cannot be accepted; without a listener it ends the process.
  const failToAccept = (): boolean => server.emit('error', Object.assign(new Error('accept'), { code: 'EMFILE' }))

  failToAccept()
  failToAccept()

  expect(said).toEqual(['EMFILE'])
})

test('who waits to be accepted whenever it is looked is a sign of death only when nobody is accepted meanwhile', async () => {
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  let waiting = 3
  const listener = listenerOf(server, server.address() as AddressInfo, async () => waiting)
  listeners.push(listener)
  const accepted: boolean[] = []

  accepted.push(await listener.isAccepting())
  accepted.push(await listener.isAccepting())
  const stranger = connect(port, '127.0.0.1')
  await once(server, 'connection')
  accepted.push(await listener.isAccepting())
  accepted.push(await listener.isAccepting())
  waiting = 0
  accepted.push(await listener.isAccepting())

  stranger.destroy()
  expect(accepted).toEqual([true, false, true, false, true])
})
