/**
 * Connections that want nothing: they say nothing, or never come to an end of what they say.
 *
 *     const strangers = await Strangers.come({ port, count: 1000, sources: 250 })
 *     strangers.open          those that are still there
 *     strangers.leave()
 *
 * They come from as many addresses of this host as are wanted: all of 127.0.0.0/8 is loopback.
 */

import { connect, type Socket } from 'node:net'

export interface Crowd {
  readonly port: number
  readonly count: number
  /** How many addresses they come from, 127.0.1.1 and so on. */
  readonly sources: number
  /** The beginning of a request, said at once. */
  readonly saying?: string | Buffer
}

/** A slow-loris says a byte so often. */
const DRIP_MS = 1000
/** Whoever is sent away from a siege comes again after so long. */
const AGAIN_MS = 1000

/** Above those that tests and agents use themselves. */
export const sourceAddress = (at: number): string => `127.0.${1 + Math.floor(at / 250)}.${1 + (at % 250)}`

export class Stranger {
  readonly socket: Socket
  /** Resolves when the connection is over, with the milliseconds that it lasted. */
  readonly closed: Promise<number>
  #connectedMs = 0

  private constructor(socket: Socket, connected: () => void) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('connect', () => {
      this.#connectedMs = performance.now()
      connected()
    })
    socket
      .on('error', connected)
      .on('end', () => socket.end())
      .resume()
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        connected()
        resolve(performance.now() - this.#connectedMs)
      })
    })
  }

  /** Resolves when it is connected, or was turned away. */
  static async come(port: number, localAddress: string): Promise<Stranger> {
    let arrived = (): void => {}
    const there = new Promise<void>((resolve) => {
      arrived = resolve
    })
    const stranger = new Stranger(connect({ port, host: '127.0.0.1', localAddress }), arrived)
    await there
    return stranger
  }
}

export class Strangers {
  readonly all: readonly Stranger[]

  private constructor(all: readonly Stranger[]) {
    this.all = all
  }

  /** Resolves when all of them are connected, or were turned away. */
  static async come({ port, count, sources, saying }: Crowd): Promise<Strangers> {
    const all = await Promise.all(
      Array.from({ length: count }, async (_, at) => {
        const stranger = await Stranger.come(port, sourceAddress(at % sources))
        if (saying !== undefined && !stranger.socket.destroyed) stranger.socket.write(saying)
        return stranger
      }),
    )
    return new Strangers(all)
  }

  /** Those whose connection is not over, as far as has been noticed. */
  get open(): readonly Stranger[] {
    return this.all.filter(({ socket }) => !socket.destroyed)
  }

  /** Resolves when every connection is over. */
  async leave(): Promise<void> {
    for (const { socket } of this.all) socket.resetAndDestroy()
    await Promise.all(this.all.map(({ closed }) => closed))
  }
}

/** Strangers that come again whenever they are sent away; every second one of them says a byte now and then. */
export class Siege {
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #open = new Set<Stranger>()
  #isOver = false
  #came = 0

  private constructor() {}

  /** Resolves when all of them have come once. */
  static async lay({ port, count, sources, saying }: Crowd): Promise<Siege> {
    const siege = new Siege()
    const one = async (at: number): Promise<void> => {
      if (siege.#isOver) return
      const stranger = await Stranger.come(port, sourceAddress(at % sources))
      siege.#came += 1
      siege.#open.add(stranger)
      if (saying !== undefined && !stranger.socket.destroyed) stranger.socket.write(saying)
      const drip = at % 2 === 0 ? undefined : siege.#every(DRIP_MS, () => stranger.socket.write('x'))
      void stranger.closed.then(() => {
        clearInterval(drip)
        siege.#open.delete(stranger)
        siege.#timers.add(setTimeout(() => void one(at), AGAIN_MS))
      })
    }
    await Promise.all(Array.from({ length: count }, (_, at) => one(at)))
    return siege
  }

  /** How many connections there were. */
  get came(): number {
    return this.#came
  }

  async raise(): Promise<void> {
    this.#isOver = true
    for (const timer of this.#timers) clearTimeout(timer)
    for (const { socket } of this.#open) socket.resetAndDestroy()
    await Promise.all([...this.#open].map(({ closed }) => closed))
    for (const timer of this.#timers) clearTimeout(timer)
  }

  #every(milliseconds: number, call: () => void): NodeJS.Timeout {
    const timer = setInterval(call, milliseconds)
    this.#timers.add(timer)
    return timer
  }
}
