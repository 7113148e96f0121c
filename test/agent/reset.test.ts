/**
 * The end of a failed plain stream: what was let go arrives, and the connection breaks off behind it.
 */

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { describe, expect, test } from '@jest/globals'

import { readingMs, resetWhenArrived, type Surroundings, untilArrived } from '../../lib/agent/reset.ts'

const STALL_MS = 600_000
/** Of a peer that needs no time to read. */
const READ_AT_ONCE = { bytes: 100, elapsedMs: 1000, blockedMs: 0 }

/** A peer that has acknowledged so much at each look, on a clock that goes on by what is waited. */
const peer = (leftAt: (ms: number) => number | undefined): Surroundings & { nowMs(): number } => {
  let ms = 0
  return {
    look: async () => {
      const left = leftAt(ms)
      return left === undefined ? undefined : { unacknowledgedBytes: left, unanswered: 0 }
    },
    nowMs: () => ms,
    wait: async (milliseconds) => {
      ms += milliseconds
    },
  }
}

const socket = { destroyed: false, writableLength: 0 } as Socket
const wire = { socket, raw: socket }
const MINUTES = 60_000

describe('what is on its way', () => {
  const calm = new AbortController().signal
  const hurry = AbortSignal.abort()

  test('has as long as the peer takes some of it now and then', async () => {
    const world = peer((ms) => Math.max(0, 5 - Math.floor(ms / (9 * MINUTES))))

    expect(await untilArrived(wire, { stallMs: STALL_MS, hurry: calm }, world)).toBe(true)
    expect(world.nowMs()).toBeGreaterThanOrEqual(45 * MINUTES)
  })

  test('is given up when the peer takes nothing for as long as a client may take nothing', async () => {
    const world = peer(() => 5)

    expect(await untilArrived(wire, { stallMs: STALL_MS, hurry: calm }, world)).toBe(false)
    expect(Math.round(world.nowMs() / MINUTES)).toBe(10)
  })

  test('is given up after an hour, however little is missing', async () => {
    const world = peer((ms) => 1e9 - Math.floor(ms / MINUTES))

    expect(await untilArrived(wire, { stallMs: STALL_MS, hurry: calm }, world)).toBe(false)
    expect(Math.round(world.nowMs() / MINUTES)).toBe(60)
  })

  test.each([
    ['3 s when the peer takes nothing', () => 5, 3],
    ['6 s when it does', (ms: number) => 1e9 - Math.floor(ms / 100), 6],
  ])('has, when the agent is about to end, %s', async (_, leftAt, seconds) => {
    const world = peer(leftAt)

    expect(await untilArrived(wire, { stallMs: STALL_MS, hurry }, world)).toBe(false)
    expect(Math.round(world.nowMs() / 1000)).toBe(seconds)
  })

  test('has its 3 s from the moment when the agent begins to end', async () => {
    const controller = new AbortController()
    const world = peer((ms) => {
      if (ms > MINUTES) controller.abort()
      return 5
    })

    await untilArrived(wire, { stallMs: STALL_MS, hurry: controller.signal }, world)

    expect(Math.round(world.nowMs() / 1000)).toBe(63)
  })

  test('has not arrived while TLS holds some of it above a connection that has none', async () => {
    const world = peer(() => 0)
    const above = {
      destroyed: false,
      get writableLength() {
        return world.nowMs() < 9 * MINUTES ? 5 : 0
      },
    } as Socket

    expect(await untilArrived({ socket: above, raw: socket }, { stallMs: STALL_MS, hurry: calm }, world)).toBe(true)
    expect(world.nowMs()).toBeGreaterThanOrEqual(9 * MINUTES)
  })

  test('is not known to have arrived where the system does not tell', async () => {
    const world = peer(() => undefined)

    expect(await untilArrived(wire, { stallMs: STALL_MS, hurry: calm }, world)).toBe(false)
    expect(world.nowMs()).toBeLessThan(MINUTES)
  })
})

/** A real connection whose reader takes nothing yet. */
const connected = async (): Promise<{ ours: Socket; theirs: Socket; close(): void }> => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const theirs = connect((server.address() as AddressInfo).port, '127.0.0.1')
  theirs.pause()
  const [ours] = (await once(server, 'connection')) as [Socket]
  ours.on('error', () => undefined).resume()
  return { ours, theirs, close: () => server.close() }
}

/** More than a receiver takes that does not read, and less than the system keeps for it. */
const HALF_WAY = 300_000

test('a reader that is slower than an agent that has to go gets every byte all the same', async () => {
  const { ours, theirs, close } = await connected()
  let written = 0
  while (ours.writableLength === 0 && written < HALF_WAY) {
    await new Promise((resolve) => ours.write(Buffer.alloc(10_000, 'x'), resolve))
    written += 10_000
  }

  await resetWhenArrived({ socket: ours, raw: ours }, { stallMs: STALL_MS, hurry: AbortSignal.abort() }, READ_AT_ONCE)
  const chunks: Buffer[] = []
  for await (const chunk of theirs) chunks.push(chunk as Buffer)
  close()

  expect(Buffer.concat(chunks).length).toBe(written)
})

test('a reader that has everything is told by a reset', async () => {
  const { ours, theirs, close } = await connected()
  const failed = once(theirs, 'error')
  theirs.resume()
  ours.write('all of it')

  await resetWhenArrived(
    { socket: ours, raw: ours },
    { stallMs: STALL_MS, hurry: new AbortController().signal },
    READ_AT_ONCE,
  )
  const [error] = (await failed) as [NodeJS.ErrnoException]
  close()

  expect(error.code).toBe('ECONNRESET')
})

describe('what has arrived may not have been read yet', () => {
  const MB = 1024 * 1024

  test.each([
    ['has been sent nothing', { bytes: 0, elapsedMs: 0, blockedMs: 0 }, 0],
    ['keeps up with us', { bytes: 100 * MB, elapsedMs: 100_000, blockedMs: 9999 }, 3000],
    ['has been sent little', { bytes: MB / 2, elapsedMs: 10_000, blockedMs: 0 }, 250],
    ['is the slow side, and fast', { bytes: 600 * MB, elapsedMs: 10_000, blockedMs: 9000 }, 3000],
    ['is the slow side, 4 MiB/s', { bytes: 40 * MB, elapsedMs: 10_000, blockedMs: 1000 }, 6000],
    [
      'is the slow side, and has been sent less than a system holds',
      { bytes: MB, elapsedMs: 1000, blockedMs: 999 },
      4000,
    ],
    ['is very slow', { bytes: MB, elapsedMs: 600_000, blockedMs: 600_000 }, 10_000],
  ])('by a peer that %s', (_, pace, milliseconds) => {
    expect(readingMs(pace)).toBe(milliseconds)
  })

  const SLOW = { bytes: MB, elapsedMs: 600_000, blockedMs: 600_000 }

  /** Everything has arrived; time passes only by a signal. */
  const stopped = (): { world: Surroundings; waits: Promise<number> } => {
    let tell: (milliseconds: number) => void = () => {}
    const waits = new Promise<number>((resolve) => {
      tell = resolve
    })
    const wait = async (milliseconds: number, signal?: AbortSignal): Promise<void> => {
      tell(milliseconds)
      if (signal?.aborted === false) await once(signal, 'abort')
    }
    return { world: { look: async () => ({ unacknowledgedBytes: 0, unanswered: 0 }), nowMs: () => 0, wait }, waits }
  }

  test.each([
    ['has gone', (ours: Socket) => void ours.destroy(), false],
    ['has no time any more, because the agent has to go', (_: Socket, hurry: AbortController) => hurry.abort(), true],
  ])('and it is given time until it %s', async (_, end, isBroken) => {
    const { ours, theirs, close } = await connected()
    const hurry = new AbortController()
    const { world, waits } = stopped()
    const failed = once(theirs, 'error')
    failed.catch(() => undefined)
    theirs.on('error', () => undefined).resume()

    const broken = resetWhenArrived(
      { socket: ours, raw: ours },
      { stallMs: STALL_MS, hurry: hurry.signal },
      SLOW,
      world,
    )
    expect(await waits).toBe(10_000)
    expect(ours.destroyed).toBe(false)
    end(ours, hurry)
    await broken
    close()

    expect(ours.destroyed).toBe(true)
    if (isBroken) expect((await failed)[0]).toMatchObject({ code: 'ECONNRESET' })
    theirs.destroy()
  })
})
