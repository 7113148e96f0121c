import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

import { rawClient } from '../rig/raw-client.ts'
import { type ConnectionPlan, type Fault, FaultProxy, flipBit } from './fault-proxy.ts'

/** Bytes that differ from place to place. */
const BYTES = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 7 + (at >> 8)) % 256))

let server: Server
let agent: Promise<Socket>
let proxy: FaultProxy

beforeEach(async () => {
  server = createServer({ allowHalfOpen: true })
  agent = once(server, 'connection').then(([socket]) => {
    socket.on('error', () => {})
    return socket
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(async () => {
  await proxy.close()
  ;(await agent).destroy()
  server.close()
})

const connected = async (plan: ConnectionPlan) => {
  proxy = await FaultProxy.start((server.address() as { port: number }).port, plan)
  const client = await rawClient(proxy.port)
  const [connection, far] = await Promise.all([proxy.next(), agent])
  return { client, connection, far }
}

const untilClosed = (socket: Socket): Promise<unknown> => new Promise((resolve) => socket.once('close', resolve))

const collected = async (socket: Socket): Promise<Buffer> => {
  const pieces: Buffer[] = []
  for await (const piece of socket.iterator({ destroyOnReturn: false })) pieces.push(piece)
  return Buffer.concat(pieces)
}

test('without a plan every byte passes, and each half is closed by itself', async () => {
  const { client, far } = await connected({})

  client.socket.end('a request')
  const request = await collected(far)
  far.end(BYTES)
  const answer = await client.ended()

  expect(request.toString()).toBe('a request')
  expect(answer.ended).toBe('fin')
  expect(answer.bytes.equals(BYTES)).toBe(true)
})

test.each([0, 1, 65_536, 123_457, BYTES.length - 1])(
  'a cut at byte %d: so many bytes, and an ordinary end',
  async (at) => {
    const cut: Fault = { at, do: 'cut' }
    const { client, far } = await connected({ toClient: { faults: [cut] } })
    client.socket.end()

    far.write(BYTES)
    const { bytes, ended } = await client.ended()

    expect({ ended, bytes: bytes.length }).toEqual({ ended: 'fin', bytes: at })
    expect(bytes.equals(BYTES.subarray(0, at))).toBe(true)
  },
)

test('a cut tells the sender that nobody listens any more', async () => {
  const { far } = await connected({ toClient: { faults: [{ at: 1000, do: 'cut' }] } })

  const closed = untilClosed(far)
  far.write(BYTES)
  await closed

  expect(far.destroyed).toBe(true)
})

test.each([1, 123_457])('a reset at byte %d: never more bytes, and both sides are broken off', async (at) => {
  const { client, far } = await connected({ toClient: { faults: [{ at, do: 'reset' }] } })

  const closed = untilClosed(far)
  far.write(BYTES)
  const { bytes, ended } = await client.ended()
  await closed

  expect(ended).toBe('reset')
  expect(bytes.length).toBeLessThanOrEqual(at)
})

test('flipped bits: the other bits are as they were', async () => {
  const faults: Fault[] = [
    { at: 0, do: 'flip', bit: 7 },
    { at: 99_999, do: 'flip', bit: 0 },
    { at: 100_000, do: 'flip', bit: 3 },
    { at: BYTES.length - 1, do: 'flip', bit: 5 },
  ]
  const { client, far } = await connected({ toClient: { faults } })

  far.end(BYTES)
  const { bytes } = await client.ended()

  const expected = Buffer.from(BYTES)
  for (const fault of faults) if (fault.do === 'flip') flipBit(expected, fault.at, fault.bit)
  expect(bytes.equals(expected)).toBe(true)
})

test('a black hole: nothing passes either way, not even an end, and nobody is broken off', async () => {
  const hole: Fault = { at: 5000, do: 'black hole' }
  const { client, connection, far } = await connected({ toClient: { faults: [hole] } })
  let farHasHeard = false
  far.on('data', () => (farHasHeard = true)).on('close', () => (farHasHeard = true))

  far.write(BYTES)
  await Promise.all([connection.toClient.happened(hole), client.hasReceived(5000)])
  client.socket.end('can you hear me?')
  await once(client.socket, 'finish')
  // What does pass, on a connection of its own, had as much time.
  const other = await rawClient(proxy.port)
  await proxy.next()
  other.socket.destroy()

  expect(client.received().length).toBe(5000)
  expect(client.socket.closed).toBe(false)
  expect(farHasHeard).toBe(false)
})

test('a hold: exactly so many bytes until it is resumed, then the rest', async () => {
  const hold: Fault = { at: 70_000, do: 'hold' }
  const { client, connection, far } = await connected({ toClient: { faults: [hold] } })

  far.end(BYTES)
  await Promise.all([connection.toClient.happened(hold), client.hasReceived(70_000)])
  const held = [connection.toClient.forwarded, client.received().length]
  connection.toClient.resume()
  const { bytes } = await client.ended()

  expect(held).toEqual([70_000, 70_000])
  expect(bytes.equals(BYTES)).toBe(true)
})

test('a pause and a resume, whenever it pleases', async () => {
  const { client, connection, far } = await connected({})
  far.write(BYTES.subarray(0, 1000))
  await client.hasReceived(1000)

  connection.toClient.pause()
  far.end(BYTES.subarray(1000))
  const before = connection.toClient.forwarded
  connection.toClient.resume()
  const { bytes } = await client.ended()

  expect(before).toBe(1000)
  expect(bytes.equals(BYTES)).toBe(true)
})

test('faults on the way to the agent, as well', async () => {
  const { client, far } = await connected({ toAgent: { faults: [{ at: 4, do: 'cut' }] } })

  client.socket.write('action=copy from')
  const request = await collected(far)

  expect(request.toString()).toBe('acti')
})

test('a slow and a late line change nothing but the time', async () => {
  const { client, far } = await connected({ toClient: { bytesPerSecond: 3_000_000, delayMs: 1 } })
  let largest = 0
  client.socket.on('data', (piece: Buffer) => {
    largest = Math.max(largest, piece.length)
  })

  far.end(BYTES)
  const { bytes } = await client.ended()

  expect(bytes.equals(BYTES)).toBe(true)
  expect(largest).toBeLessThan(BYTES.length)
})

test('the end of one side is the end of the other', async () => {
  const { client, far } = await connected({})

  const closed = untilClosed(far)
  far.resume()
  client.socket.resetAndDestroy()
  await closed

  expect(far.destroyed).toBe(true)
})

test('each connection follows the plan that was there when it came', async () => {
  const { client, far } = await connected({ toClient: { faults: [{ at: 3, do: 'cut' }] } })
  proxy.plan = {}
  const nextAgent = once(server, 'connection') as Promise<[Socket]>
  const second = await rawClient(proxy.port)
  const [secondFar] = await nextAgent

  far.write('abcdef')
  secondFar.end('abcdef')
  client.socket.end()
  const ends = await Promise.all([client.ended(), second.ended()])
  secondFar.destroy()

  expect(ends.map(({ bytes }) => bytes.toString())).toEqual(['abc', 'abcdef'])
})
