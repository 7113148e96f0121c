import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { beforeEach, describe, expect, test } from '@jest/globals'

import { ConnectionGate, type Visitor } from '../../lib/agent/connection-gate.ts'
import { silentLogger } from '../../lib/log/index.ts'

/** What a gate sees of a connection. */
class FakeSocket extends EventEmitter {
  destroyed = false
  writableLength = 0
  writableEnded = false
  /** How it was ended. */
  end: 'reset' | 'closed' | undefined
  readonly remoteAddress: string | undefined

  constructor(remoteAddress: string | undefined) {
    super()
    this.remoteAddress = remoteAddress
  }

  resetAndDestroy(): void {
    this.#end('reset')
  }

  destroy(): void {
    this.#end('closed')
  }

  #end(how: 'reset' | 'closed'): void {
    if (this.destroyed) return
    this.destroyed = true
    this.end = how
    this.emit('close')
  }
}

const never = new AbortController().signal

let nowMs: number
let due: (() => void)[]
let gate: ConnectionGate

/** Everything that has come is looked at, as an event loop does; whoever was there was listened to. */
const turnLoop = (times = 3): void => {
  for (let time = 0; time < times; time += 1) for (const call of due.splice(0)) call()
}

beforeEach(() => {
  nowMs = 0
  due = []
  const surroundings = { nowMs: () => nowMs, soon: (call: () => void) => void due.push(call) }
  gate = new ConnectionGate(silentLogger(), surroundings)
  gate.use({ all: 8, perSource: 4, unknown: 6 })
})

interface Come {
  readonly socket: FakeSocket
  readonly visitor: Visitor | undefined
}

const come = (address: string | undefined): Come => {
  const socket = new FakeSocket(address)
  return { socket, visitor: gate.admit(socket as unknown as Socket) }
}

const addresses = (count: number): string[] => Array.from({ length: count }, (_, at) => `192.0.2.${at + 1}`)
const endsOf = (all: readonly Come[]): (string | undefined)[] => all.map(({ socket }) => socket.end)
const STAYS = undefined

describe('too many strangers', () => {
  test('from one source: its own oldest leave by a reset, and others do not', () => {
    const other = come('192.0.2.99')
    turnLoop()
    const crowd = Array.from({ length: 7 }, () => come('192.0.2.1'))
    turnLoop()

    expect(endsOf(crowd)).toEqual(['reset', 'reset', 'reset', STAYS, STAYS, STAYS, STAYS])
    expect(endsOf([other])).toEqual([STAYS])
    expect(gate.counts).toEqual({ all: 5, strangers: 5 })
  })

  test('from many sources: the oldest leave', () => {
    const crowd = addresses(10).map(come)
    turnLoop()

    expect(endsOf(crowd)).toEqual([...Array(4).fill('reset'), ...Array(6).fill(STAYS)])
  })

  test('the crowd of one network of version 6 is one source', () => {
    const crowd = [1, 2, 3, 4, 5, 6].map((host) => come(`2001:db8:1:2::${host}`))
    turnLoop()

    expect(endsOf(crowd)).toEqual(['reset', 'reset', STAYS, STAYS, STAYS, STAYS])
  })

  test('nobody leaves before it was listened to once, however many come in one go', () => {
    const client = come('192.0.2.99')
    const flood = addresses(50).map(come)
    expect(endsOf(flood)).toEqual(Array(50).fill(STAYS))

    turnLoop(1) // they are all there; what they have said is read now
    expect(endsOf([client, ...flood])).toEqual(Array(51).fill(STAYS))
    client.visitor?.known()
    turnLoop()

    expect(endsOf([client])).toEqual([STAYS])
    expect(gate.counts).toEqual({ all: 7, strangers: 6 })
  })

  test('whose request is being looked at stays however long that takes, and may have to leave when it is refused', () => {
    const asking = come('192.0.2.99')
    turnLoop()
    asking.visitor?.heard()
    addresses(30).map(come)
    turnLoop()
    expect(endsOf([asking])).toEqual([STAYS])
    expect(due).toEqual([]) // nobody waits for it by looking again and again

    asking.visitor?.left()
    come('192.0.2.98')
    turnLoop()

    expect(endsOf([asking])).toEqual(['reset'])
  })

  test('a request that is being served is never touched, and counts no more among them', () => {
    const client = come('192.0.2.1')
    client.visitor?.known()
    const crowd = addresses(30).map(come)
    turnLoop()

    expect(endsOf([client])).toEqual([STAYS])
    expect(endsOf(crowd).filter((end) => end === STAYS)).toHaveLength(6)
  })

  test('whoever was answered and does not go is one of them again, and is closed without a reset', () => {
    const answered = come('192.0.2.1')
    answered.visitor?.known()
    answered.socket.writableEnded = true
    answered.visitor?.left()
    addresses(20).map(come)
    turnLoop()

    expect(endsOf([answered])).toEqual(['closed'])
  })

  test('an answer that is still in our hands is broken off', () => {
    const answered = come('192.0.2.1')
    answered.visitor?.known()
    answered.socket.writableEnded = true
    answered.socket.writableLength = 1000
    answered.visitor?.left()
    addresses(20).map(come)
    turnLoop()

    expect(endsOf([answered])).toEqual(['reset'])
  })

  test('who was sent away is told so', async () => {
    const [first] = addresses(7).map(come)
    turnLoop()

    expect(first?.visitor?.isDropped).toBe(true)
    expect(first?.visitor?.mayLog('refused')).toBe(false)
    await expect(first?.visitor?.turn(never)).resolves.toBe(false)
  })
})

describe('requests that are being served', () => {
  test('when they take all places newcomers are dropped at once, and are let in when one has gone', () => {
    const clients = addresses(8).map(come)
    for (const { visitor } of clients) visitor?.known()

    const refused = come('192.0.2.99')
    clients[0]?.socket.destroy()
    const admitted = come('192.0.2.99')

    expect(refused.visitor).toBeUndefined()
    expect(endsOf([refused, admitted])).toEqual(['reset', STAYS])
  })

  test('when they take all places of a source, another source has its own', () => {
    for (let time = 0; time < 4; time += 1) come('192.0.2.1').visitor?.known()

    expect(come('192.0.2.1').visitor).toBeUndefined()
    expect(come('192.0.2.2').visitor).toBeDefined()
  })
})

test('answers that nobody reads take so much memory together and no more: the largest goes first', () => {
  gate.use({ all: 100, perSource: 100, unknown: 100 })
  const MB = 1024 * 1024
  const answered = [3, 9, 1, 5].map((megabytes) => {
    const one = come('192.0.2.1')
    one.visitor?.known()
    one.socket.writableLength = megabytes * MB
    one.visitor?.left()
    return one
  })

  expect(endsOf(answered)).toEqual([STAYS, 'reset', STAYS, STAYS])
})

test('what leaves takes its place along, and nothing is remembered of it', () => {
  for (let time = 0; time < 1000; time += 1) {
    const { visitor, socket } = come(`192.0.2.${time % 250}`)
    if (time % 2 === 0) visitor?.known()
    if (time % 3 === 0) visitor?.left()
    socket.destroy()
    visitor?.known() // too late: it counts nowhere any more
    visitor?.left()
  }
  turnLoop()

  expect(gate.counts).toEqual({ all: 0, strangers: 0 })
})

test('a peer that was gone before it was looked at is let in like anybody', () => {
  expect(come(undefined).visitor?.address).toBe('?')
})

test('limits that are smaller than before hold from the next one on', () => {
  const crowd = addresses(6).map(come)
  turnLoop()
  gate.use({ all: 8, perSource: 4, unknown: 2 })
  const newest = come('192.0.2.99')
  turnLoop()

  expect(endsOf([...crowd, newest])).toEqual([...Array(5).fill('reset'), STAYS, STAYS])
})

describe('wrong logins', () => {
  const wrong = (address: string, times: number): void => {
    for (let time = 0; time < times; time += 1) {
      const { visitor, socket } = come(address)
      visitor?.known()
      visitor?.failedLogin()
      socket.destroy()
    }
  }

  test('make the next ones of the source wait, then be dropped; no other source', () => {
    wrong('192.0.2.1', 4)

    const next = [1, 2, 3, 4].map(() => come('192.0.2.1'))
    expect(next.map(({ visitor }) => visitor?.waitedMs)).toEqual([1000, 2000, undefined, undefined])
    expect(endsOf(next)).toEqual([STAYS, STAYS, 'reset', 'reset'])
    expect(come('192.0.2.2').visitor?.waitedMs).toBe(0)
  })

  test('are forgiven with a right one', () => {
    wrong('192.0.2.1', 3)
    const { visitor } = come('192.0.2.1')
    visitor?.loggedIn()
    wrong('192.0.2.1', 3)

    expect(come('192.0.2.1').visitor?.waitedMs).toBe(0)
  })

  test('of a source that hides behind the two ways to write its address count together', () => {
    wrong('192.0.2.1', 2)
    wrong('::ffff:192.0.2.1', 2)

    expect(come('192.0.2.1').visitor?.waitedMs).toBe(1000)
  })

  test('who waits and is gone is not served; who waits when the agent ends is', async () => {
    wrong('192.0.2.1', 6)
    const gone = come('192.0.2.1')
    const waiting = come('192.0.2.1')
    const hurry = new AbortController()
    const served = [gone, waiting].map(({ visitor }) => visitor?.turn(hurry.signal))

    gone.socket.destroy()
    hurry.abort()

    await expect(Promise.all(served)).resolves.toEqual([false, true])
  })
})
