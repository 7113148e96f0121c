/**
 * The client of every whole way: it counts what comes, and keeps the last of it.
 *
 *     ours   program ─▶ agent ─▶ loopback ─┐
 *     peer   program ─▶ socat ─▶ loopback ─┴▶ this one, over the same kind of socket
 *
 * It reads into one buffer over and over, so that it costs as little as a client of Node can, and no faster than it is told.
 */

import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export interface Counting {
  readonly port: number
  /** Said at once, and nothing behind it. */
  readonly request?: string
  /** Without it, as fast as it can. */
  readonly bytesPerSecond?: number | undefined
}

export interface Counted {
  readonly bytes: number
  readonly tail: string
  readonly seconds: number
}

const BUFFER_BYTES = 256 * 1024
const TAIL_BYTES = 2000

/** From connecting to the end. Waits for who listens soon. */
export const countBytes = async (counting: Counting): Promise<Counted> => {
  for (;;) {
    try {
      return await countOnce(counting)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') throw error
      await delay(5)
    }
  }
}

const countOnce = ({ port, request, bytesPerSecond }: Counting): Promise<Counted> =>
  new Promise((resolve, reject) => {
    const began = performance.now()
    let bytes = 0
    let tail = Buffer.alloc(0)
    const buffer = Buffer.alloc(BUFFER_BYTES)
    const callback = (length: number, from: Uint8Array): boolean => {
      bytes += length
      tail = Buffer.concat([tail, from.subarray(Math.max(0, length - TAIL_BYTES), length)]).subarray(-TAIL_BYTES)
      const earlyMs = bytesPerSecond === undefined ? 0 : (bytes / bytesPerSecond) * 1000 - (performance.now() - began)
      if (earlyMs < 1) return true
      setTimeout(() => socket.resume(), earlyMs)
      return false
    }
    const socket = connect({ port, host: '127.0.0.1', onread: { buffer, callback } })
    socket.on('error', reject)
    socket.on('end', () =>
      resolve({ bytes, tail: tail.toString('latin1'), seconds: (performance.now() - began) / 1000 }),
    )
    if (request !== undefined) socket.end(request)
  })
