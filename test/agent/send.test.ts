import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { expect, test } from '@jest/globals'

import { finish } from '../../lib/agent/send.ts'

test('an answer that nobody reads is given up, and its connection with it', async () => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const deaf = connect((server.address() as AddressInfo).port, '127.0.0.1')
  deaf.pause().on('error', () => undefined)
  const [ours] = (await once(server, 'connection')) as [Socket]

  await expect(finish(ours, [Buffer.alloc(64 * 1024 * 1024)], 50)).rejects.toMatchObject({ code: 'JOB_CLIENT_GONE' })

  expect(ours.destroyed).toBe(true)
  deaf.destroy()
  server.close()
})
