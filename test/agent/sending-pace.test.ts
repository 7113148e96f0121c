/** How fast a peer reads, as the session measures it for the end of a failed stream. */

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { expect, test } from '@jest/globals'

import { SendingPace } from '../../lib/agent/sending-pace.ts'

/** A clock that goes on when it is told. */
const clock = (): { nowMs: () => number; goOn(ms: number): void } => {
  let ms = 5000
  return {
    nowMs: () => ms,
    goOn: (by) => {
      ms += by
    },
  }
}

test('the pace tells the time in which there was no room from all other time', async () => {
  const { nowMs, goOn } = clock()
  const pace = new SendingPace({ bytesWritten: 0 }, nowMs)
  let makeRoom: () => void = () => {}

  goOn(100)
  const sent = pace.during(new Promise((resolve) => (makeRoom = resolve)))
  goOn(30)
  makeRoom()
  await sent
  goOn(1000)

  expect(pace.pace).toEqual({ bytes: 0, elapsedMs: 1130, blockedMs: 30 })
})

test('the pace counts the time before a send that failed', async () => {
  const { nowMs, goOn } = clock()
  const pace = new SendingPace({ bytesWritten: 0 }, nowMs)
  let fail: (reason: Error) => void = () => {}
  const sent = pace.during(new Promise((_, reject) => (fail = reject)))

  goOn(700)
  fail(new Error('stopped'))
  await expect(sent).rejects.toThrow('stopped')
  goOn(300)

  expect(pace.pace).toEqual({ bytes: 0, elapsedMs: 1000, blockedMs: 700 })
})

test('the pace is taken by the bytes on the wire, whatever they are dressed from', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const theirs = connect((server.address() as AddressInfo).port, '127.0.0.1').resume()
  const [ours] = (await once(server, 'connection')) as [Socket]
  const pace = new SendingPace(ours, clock().nowMs)

  await pace.during(new Promise((resolve) => ours.write(Buffer.alloc(12_345), () => resolve())))

  expect(pace.pace.bytes).toBe(12_345)
  theirs.destroy()
  ours.destroy()
  server.close()
})
