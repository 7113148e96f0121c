import { Server } from 'node:net'
import { afterEach, expect, jest, test } from '@jest/globals'

import { type Listener, type ListenerOptions, listen } from '../../lib/agent/listener.ts'

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
