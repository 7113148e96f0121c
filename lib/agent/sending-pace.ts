/**
 * Measures how fast a peer reads: what was put on its wire, in what time, and for how much of that it kept us waiting.
 *
 * A stalled peer has more to read than it can hold, so time spent waiting for room is time that it has not read in.
 * What the figures are for: `reset.ts`.
 */

import type { Socket } from 'node:net'

import type { Pace } from './reset.ts'

export class SendingPace {
  readonly #socket: Pick<Socket, 'bytesWritten'>
  readonly #nowMs: () => number
  readonly #sinceMs: number
  #blockedMs = 0

  /** Begins now. @param nowMs a monotonic clock in milliseconds */
  constructor(socket: Pick<Socket, 'bytesWritten'>, nowMs: () => number) {
    this.#socket = socket
    this.#nowMs = nowMs
    this.#sinceMs = nowMs()
  }

  /** @param sent settles when there is room for more, or when there will be none */
  async during(sent: Promise<void>): Promise<void> {
    const beganMs = this.#nowMs()
    try {
      await sent
    } finally {
      this.#blockedMs += this.#nowMs() - beganMs
    }
  }

  /** So far. Of the wire, because that is what fills the buffers of the peer: an encoding makes more of the archive. */
  get pace(): Pace {
    const elapsedMs = this.#nowMs() - this.#sinceMs
    return { bytes: this.#socket.bytesWritten, elapsedMs, blockedMs: this.#blockedMs }
  }
}
