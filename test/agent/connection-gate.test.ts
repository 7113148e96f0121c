import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'

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
    await expect(first?.visitor?.deniedTurn(never)).resolves.toBe(false)
    await expect(first?.visitor?.loginTurn('account', never)).resolves.toBe('come') // nobody is there to try it
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

describe('turns', () => {
  const SOURCE = '192.0.2.1'

  beforeEach(() => {
    jest.useFakeTimers()
    gate.use({ all: 100, perSource: 100, unknown: 50 })
  })
  afterEach(() => void jest.useRealTimers())

  const pass = async (milliseconds: number): Promise<void> => {
    nowMs += milliseconds
    await jest.advanceTimersByTimeAsync(milliseconds)
  }

  const arrive = (address: string): { socket: FakeSocket; visitor: Visitor } => {
    const { socket, visitor } = come(address)
    if (visitor === undefined) throw new Error('dropped')
    visitor.heard()
    return { socket, visitor }
  }

  /** When each has ended, in milliseconds from now, and how. */
  const endings = async <End>(all: readonly Promise<End>[], withinMs = 20_000): Promise<(string | undefined)[]> => {
    const ends: (string | undefined)[] = all.map(() => undefined)
    const begunMs = nowMs
    for (const [index, one] of all.entries()) void one.then((end) => (ends[index] = `${nowMs - begunMs} ${end}`))
    for (let waitedMs = 0; waitedMs <= withinMs; waitedMs += 500) await pass(500 * Math.sign(waitedMs))
    return ends
  }

  describe('of those who show nothing by which they are known', () => {
    const deny = (address: string): { socket: FakeSocket; told: Promise<boolean> } => {
      const { socket, visitor } = arrive(address)
      return { socket, told: visitor.deniedTurn(never) }
    }

    test('three are told so at once, the next ones in turn, and the others are dropped', async () => {
      const denied = Array.from({ length: 9 }, () => deny(SOURCE))

      const told = await endings(denied.map((one) => one.told))

      const turns = ['0 true', '0 true', '0 true', '1000 true', '2000 true', '4000 true', '8000 true']
      expect(told).toEqual([...turns, '0 false', '0 false'])
      expect(denied.map(({ socket }) => socket.end)).toEqual([...Array(7).fill(STAYS), 'reset', 'reset'])
    })

    test('they delay nobody who is known, though behind the same address, and no try of a login', async () => {
      for (let time = 0; time < 20; time += 1) deny(SOURCE)
      const { visitor, socket } = arrive(SOURCE)
      visitor.known()

      await expect(visitor.loginTurn('account', never)).resolves.toBe('come')
      expect(socket.end).toBe(STAYS)
    })

    test('they leave for others who come, while they wait', async () => {
      const denied = Array.from({ length: 7 }, () => deny(SOURCE))
      gate.use({ all: 100, perSource: 100, unknown: 6 })
      arrive('192.0.2.2')
      turnLoop()

      expect(denied.map(({ socket }) => socket.end)).toContain('reset')
      expect(await endings(denied.map((one) => one.told))).toContain('0 false')
    })

    test('of a source that hides behind the two ways to write its address they count together', async () => {
      const denied = [SOURCE, `::ffff:${SOURCE}`, SOURCE, `::ffff:${SOURCE}`].map(deny)

      expect((await endings(denied.map((one) => one.told))).at(-1)).toBe('1000 true')
    })
  })

  describe('of tries at an account of the database', () => {
    const tryLogin = (address: string, account: string): Promise<string> => {
      const { visitor } = arrive(address)
      visitor.known()
      return visitor.loginTurn(account, never)
    }
    const wrong = (address: string, account: string, times: number): void => {
      for (let time = 0; time < times; time += 1) {
        const { visitor, socket } = arrive(address)
        visitor.loginWas(account, false)
        socket.destroy()
      }
    }

    test('after four wrong ones the next wait, then are refused; no other account and no other source', async () => {
      wrong(SOURCE, 'shop', 4)

      const next = [1, 2, 3, 4].map(() => tryLogin(SOURCE, 'shop'))
      const others = [tryLogin(SOURCE, 'crm'), tryLogin('192.0.2.2', 'shop')]

      expect(await endings([...next, ...others])).toEqual([
        '1000 come',
        '2000 come',
        '0 refused',
        '0 refused',
        '0 come',
        '0 come',
      ])
    })

    test('a right one forgives those of its account, and no others', async () => {
      wrong(SOURCE, 'shop', 4)
      wrong(SOURCE, 'crm', 4)
      arrive(SOURCE).visitor.loginWas('shop', true)

      expect(await endings([tryLogin(SOURCE, 'shop'), tryLogin(SOURCE, 'crm')])).toEqual(['0 come', '1000 come'])
    })

    test('who waits is a stranger meanwhile, and has its place again when its turn has come', async () => {
      wrong(SOURCE, 'shop', 4)
      const waiting = tryLogin(SOURCE, 'shop')
      const strangersMeanwhile = gate.counts.strangers

      await endings([waiting])

      expect(strangersMeanwhile).toBe(1)
      expect(gate.counts).toEqual({ all: 1, strangers: 0 })
    })

    test('a flood of those who do not wait for their turn keeps nobody from his', async () => {
      wrong(SOURCE, 'shop', 6)
      const flood = Array.from({ length: 50 }, () => {
        const { visitor, socket } = arrive(SOURCE)
        const turn = visitor.loginTurn('shop', never)
        socket.destroy()
        return turn
      })
      const ends = await Promise.all(flood)

      expect(new Set(ends)).toEqual(new Set(['gone', 'refused']))
      expect(await endings([tryLogin(SOURCE, 'shop')])).toEqual([expect.stringMatching(/^\d+ come$/)])
    })

    test('who waits and is gone is not tried; who waits when the agent ends is', async () => {
      wrong(SOURCE, 'shop', 6)
      const [gone, waiting] = [arrive(SOURCE), arrive(SOURCE)]
      const hurry = new AbortController()
      const turns = [gone, waiting].map(({ visitor }) => visitor.loginTurn('shop', hurry.signal))

      gone?.socket.destroy()
      hurry.abort()

      await expect(Promise.all(turns)).resolves.toEqual(['gone', 'come'])
    })
  })
})
