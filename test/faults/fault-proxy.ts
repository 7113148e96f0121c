/**
 * A network that misbehaves on command: a TCP proxy between a client and an agent.
 *
 *     client ◀── toClient ── proxy ◀────────── agent
 *     client ────────────▶── proxy ── toAgent ──▶ agent
 *
 * Each direction is a lane that counts its bytes and carries out its faults at exact bytes:
 *
 * | fault        | from that byte on                                                              |
 * |--------------|--------------------------------------------------------------------------------|
 * | `cut`        | an ordinary end (FIN) to the receiver; the sender is cut off                     |
 * | `reset`      | a reset (RST) to both                                                            |
 * | `flip`       | one bit of that byte is the other way round, all else is as it was               |
 * | `black hole` | nothing passes any more, either way, not even an end; both connections stay open |
 * | `hold`       | nothing passes in this direction until `resume`; whoever holds it knows when      |
 *
 * What it cannot do: the system may hand a reset that follows data on as an ordinary end, so
 * a reset that the proxy did not make itself may arrive as a FIN.
 */

import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export type Fault =
  | { readonly at: number; readonly do: 'cut' | 'reset' | 'black hole' | 'hold' }
  | { readonly at: number; readonly do: 'flip'; readonly bit: number }

export interface LanePlan {
  /** In the order of their bytes. Byte 0 is the first one that passes. */
  readonly faults?: readonly Fault[]
  readonly bytesPerSecond?: number
  /** Time that every piece waits in the proxy. */
  readonly delayMs?: number
}

export interface ConnectionPlan {
  readonly toClient?: LanePlan
  readonly toAgent?: LanePlan
}

/** Often enough for an even flow, seldom enough to cost nothing. */
const THROTTLE_STEP_MS = 20

export class FaultProxy {
  readonly #server: Server
  readonly #open = new Set<ProxiedConnection>()
  readonly #waiting: ((connection: ProxiedConnection) => void)[] = []
  readonly #unclaimed: ProxiedConnection[] = []
  readonly port: number
  /** For the connections to come. */
  plan: ConnectionPlan

  private constructor(server: Server, port: number, plan: ConnectionPlan) {
    this.#server = server
    this.port = port
    this.plan = plan
  }

  /** @param target port of the agent, or port and host */
  static async start(
    target: number | { readonly port: number; readonly host: string },
    plan: ConnectionPlan = {},
  ): Promise<FaultProxy> {
    const server = createServer({ allowHalfOpen: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const proxy = new FaultProxy(server, (server.address() as { port: number }).port, plan)
    const { port, host } = typeof target === 'number' ? { port: target, host: '127.0.0.1' } : target
    server.on('connection', (client) => proxy.#accept(client, connect({ port, host, allowHalfOpen: true })))
    return proxy
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  /** The next connection that nobody has asked for yet. */
  next(): Promise<ProxiedConnection> {
    const there = this.#unclaimed.shift()
    return there === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(there)
  }

  /** Takes no more connections and breaks those that are open. */
  async close(): Promise<void> {
    this.#server.close()
    for (const connection of this.#open) connection.breakOff()
    await once(this.#server, 'close')
  }

  #accept(client: Socket, agent: Socket): void {
    const connection = new ProxiedConnection(client, agent, this.plan)
    this.#open.add(connection)
    void connection.closed.then(() => this.#open.delete(connection))
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#unclaimed.push(connection)
    else waiting(connection)
  }
}

export class ProxiedConnection {
  readonly #client: Socket
  readonly #agent: Socket
  readonly toClient: Lane
  readonly toAgent: Lane
  /** Resolves when both sides are gone. */
  readonly closed: Promise<void>
  #swallowed = false

  constructor(client: Socket, agent: Socket, { toClient = {}, toAgent = {} }: ConnectionPlan) {
    this.#client = client
    this.#agent = agent
    const swallow = (): void => {
      this.#swallowed = true
      this.toClient.pause()
      this.toAgent.pause()
    }
    this.toClient = new Lane(agent, client, toClient, swallow)
    this.toAgent = new Lane(client, agent, toAgent, swallow)
    this.#couple(client, agent)
    this.#couple(agent, client)
    this.closed = Promise.all([untilClosed(client), untilClosed(agent)]).then(() => undefined)
  }

  /** From now on nothing passes, either way: the network is gone, and nobody is told. */
  swallow(): void {
    this.toClient.swallow()
  }

  breakOff(): void {
    this.#client.resetAndDestroy()
    this.#agent.resetAndDestroy()
  }

  /** A side that breaks off takes the other one with it, unless there is no network to tell it. */
  #couple(one: Socket, other: Socket): void {
    let hasFailed = false
    one.on('error', () => {
      hasFailed = true
    })
    one.on('close', () => {
      if (this.#swallowed) return
      if (hasFailed) other.resetAndDestroy()
      else other.destroySoon()
    })
  }
}

/** One direction of a connection. */
export class Lane {
  readonly #from: Socket
  readonly #to: Socket
  readonly #plan: LanePlan
  readonly #swallow: () => void
  readonly #done = new Map<Fault, () => void>()
  readonly #happened = new Map<Fault, Promise<void>>()
  #forwarded = 0
  #dueMs = 0
  #gate: Promise<void> = Promise.resolve()
  #openGate: () => void = () => {}

  constructor(from: Socket, to: Socket, plan: LanePlan, swallow: () => void) {
    this.#from = from
    this.#to = to
    this.#plan = plan
    this.#swallow = swallow
    for (const fault of plan.faults ?? []) {
      this.#happened.set(fault, new Promise((resolve) => this.#done.set(fault, resolve)))
    }
    this.#run().catch(() => {
      // One of the two sides is gone; `ProxiedConnection` tells the other.
    })
  }

  /** Bytes that were handed on. */
  get forwarded(): number {
    return this.#forwarded
  }

  /** Resolves when the fault has been carried out; never, when its byte never comes. */
  async happened(fault: Fault): Promise<void> {
    const happened = this.#happened.get(fault)
    if (happened === undefined) throw new Error(`bug: this lane has no fault at byte ${fault.at}`)
    await happened
  }

  /** Nothing passes from now on; what is on its way to the receiver already still arrives. */
  pause(): void {
    this.#gate = new Promise((resolve) => {
      this.#openGate = resolve
    })
  }

  resume(): void {
    this.#openGate()
  }

  swallow(): void {
    this.#swallow()
  }

  async #run(): Promise<void> {
    const faults = [...(this.#plan.faults ?? [])]
    if (await this.#carryOut(faults)) return
    for await (const chunk of this.#from.iterator({ destroyOnReturn: false })) {
      for (let rest = chunk as Buffer; rest.length > 0; ) {
        await this.#gate
        const room = Math.min(
          rest.length,
          this.#stepBytes,
          (stopOf(faults)?.at ?? Number.POSITIVE_INFINITY) - this.#forwarded,
        )
        await this.#send(this.#flipped(rest.subarray(0, room), faults))
        rest = rest.subarray(room)
        if (await this.#carryOut(faults)) return
      }
    }
    await this.#gate
    this.#to.end()
  }

  /** @returns whether nothing must follow */
  async #carryOut(faults: Fault[]): Promise<boolean> {
    for (let next = faults[0]; next !== undefined && isDue(next, this.#forwarded); next = faults[0]) {
      faults.shift()
      const isLast = await this.#perform(next)
      this.#done.get(next)?.()
      if (isLast) return true
    }
    return false
  }

  async #perform(fault: Fault): Promise<boolean> {
    switch (fault.do) {
      case 'flip':
        return false // when its byte passed
      case 'hold':
        this.pause()
        return false
      case 'black hole':
        this.#swallow()
        return true
      case 'cut':
        this.#to.end()
        this.#from.resetAndDestroy()
        return true
      case 'reset':
        this.#to.resetAndDestroy()
        this.#from.resetAndDestroy()
        return true
    }
  }

  get #stepBytes(): number {
    const { bytesPerSecond } = this.#plan
    if (bytesPerSecond === undefined) return Number.POSITIVE_INFINITY
    return Math.max(1, Math.floor((bytesPerSecond * THROTTLE_STEP_MS) / 1000))
  }

  async #send(bytes: Buffer): Promise<void> {
    const { delayMs = 0, bytesPerSecond } = this.#plan
    if (delayMs > 0) await delay(delayMs)
    if (bytesPerSecond !== undefined) await this.#untilDue((bytes.length / bytesPerSecond) * 1000)
    // Waits until the system has taken them, so that what was counted is what the receiver can have.
    await new Promise<void>((resolve, reject) => {
      this.#to.write(bytes, (error) => (error ? reject(error) : resolve()))
    })
    this.#forwarded += bytes.length
  }

  /** Keeps the rate whatever timers and writes take; what a pause has cost is not made up for. */
  async #untilDue(pieceMs: number): Promise<void> {
    const now = performance.now()
    this.#dueMs = Math.max(this.#dueMs + pieceMs, now - THROTTLE_STEP_MS)
    if (this.#dueMs > now) await delay(this.#dueMs - now)
  }

  #flipped(bytes: Buffer, faults: readonly Fault[]): Buffer {
    const flips = faults.filter((fault) => fault.do === 'flip' && fault.at < this.#forwarded + bytes.length)
    if (flips.length === 0) return bytes
    const copy = Buffer.from(bytes)
    for (const fault of flips) if (fault.do === 'flip') flipBit(copy, fault.at - this.#forwarded, fault.bit)
    return copy
  }
}

/** @param bit 0 to 7 */
export const flipBit = (bytes: Buffer, at: number, bit: number): void => {
  bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << bit), at)
}

/** A flip is due when its byte has passed, anything else right before. */
const isDue = (fault: Fault, forwarded: number): boolean =>
  fault.do === 'flip' ? forwarded > fault.at : forwarded >= fault.at

const stopOf = (faults: readonly Fault[]): Fault | undefined => faults.find((fault) => fault.do !== 'flip')

const untilClosed = async (socket: Socket): Promise<void> => {
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
}
