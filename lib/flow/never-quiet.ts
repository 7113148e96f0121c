/**
 * Keeps a stream from ever falling silent while its source is.
 *
 *     source ──▶ │ reserve: the newest bytes │ ──▶ consumer
 *                  let go: when newer ones push them out,
 *                          or a unit at a time while the source is quiet
 *
 * A deployed client gives up when one read takes more than 30 s, and a database may
 * make its backup program wait for longer than that. So some bytes are always kept
 * back, to be spent in quiet times: enough for half an hour with the usual block size.
 * Nothing is added to the stream, so it works inside a member as well as between two.
 *
 * The timer is given in. Rule: PROTOCOL.md, "Silence".
 */

import { Bell, type Wait } from './pulse.ts'

export interface NeverQuietOptions {
  /** Bytes kept back while the source goes on, and while it is fast up to a piece of it more; spent in quiet times. */
  readonly reserveBytes: number
  /** Bytes let go at a time in a quiet time: what completes one read of the client. */
  readonly unitBytes: number
  /** How long the consumer may be without bytes. */
  readonly quietMs: number
  /**
   * The same before the first bytes have left, where the consumer can wait for longer then: so the reserve is full when
   * they do. Left out: `quietMs`.
   */
  readonly firstQuietMs?: number
  readonly wait: Wait
  /** A monotonic clock in milliseconds. */
  readonly nowMs: () => number
  /** Told how much of the reserve is left whenever some of it is about to be spent. */
  onSpent?(leftBytes: number): void
  /** Whether what was spent has done its work; asked after every unit, and one more is spent if not. */
  enough?(): boolean
}

/** The part of a quiet time after which a source is slow, and pieces are cut for it: few turns are spent on that. */
const SLOW = 1 / 8

/** The same bytes in the same order. An error of the source comes through at once: the reserve is not sent any more. */
export async function* neverQuiet(source: AsyncIterable<Buffer>, options: NeverQuietOptions): AsyncGenerator<Buffer> {
  const { reserveBytes, unitBytes, quietMs, wait, nowMs, onSpent, enough } = options
  const reserve = new Reserve()
  const iterator = source[Symbol.asyncIterator]()
  let hasLeft = false
  let leftMs: number | undefined // when the last bytes left, if that was after the bell was wound
  let lastMs = nowMs() // when they left, whenever that was
  const bell = new Bell(wait)
  const wind = (): void => {
    leftMs = undefined
    bell.wind(hasLeft ? quietMs : (options.firstQuietMs ?? quietMs))
  }
  wind()
  try {
    let next = iterator.next()
    for (;;) {
      await bell.rangOr(next)
      if (bell.takeRing()) {
        // Bytes that leave only note when: a timer for each piece would cost more than the piece does.
        const restMs = leftMs === undefined ? 0 : leftMs + quietMs - nowMs()
        if (restMs > 0) {
          leftMs = undefined
          bell.wind(restMs)
          continue
        }
        hasLeft ||= reserve.bytes > 0
        if (reserve.bytes > 0) onSpent?.(Math.max(reserve.bytes - unitBytes, 0))
        do yield* reserve.take(unitBytes)
        while (reserve.bytes > 0 && enough?.() === false)
        lastMs = nowMs()
        wind()
        continue
      }
      const result = await next
      if (result.done === true) break
      reserve.put(result.value)
      next = iterator.next()
      next.catch(() => undefined) // seen at the next turn, which a slow consumer may keep waiting
      const spareBytes = reserve.bytes - reserveBytes
      let spare = reserve.takeWhole(spareBytes)
      // What trickles pushes no whole piece out for long: the time would be taken for a quiet one, and the reserve spent.
      if (spare.length === 0 && spareBytes > 0 && nowMs() - lastMs >= quietMs * SLOW) spare = reserve.take(spareBytes)
      if (spare.length === 0) continue
      yield* spare
      lastMs = nowMs()
      if (hasLeft) {
        leftMs = lastMs
      } else {
        hasLeft = true
        wind()
      }
    }
    yield* reserve.take(reserve.bytes)
  } finally {
    bell.off()
    // Not waited for: a source that is asked for its next bytes stops only when it has some, and whoever
    // leaves us early has aborted it by other means.
    Promise.resolve(iterator.return?.()).catch(() => undefined)
  }
}

/** Bytes in order, taken out from the oldest on. */
class Reserve {
  #chunks: Buffer[] = []
  bytes = 0

  put(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.bytes += chunk.length
  }

  /** As many of the oldest as are whole in so many bytes: to cut them would be twice as many turns for whoever gets them. */
  takeWhole(bytes: number): Buffer[] {
    let count = 0
    let left = bytes
    for (const { length } of this.#chunks) {
      if (length > left) break
      left -= length
      count += 1
    }
    this.bytes -= bytes - left
    return this.#chunks.splice(0, count)
  }

  /** So many bytes as views of what was put in; fewer when there are not so many, none for a negative number. */
  take(bytes: number): Buffer[] {
    const taken: Buffer[] = []
    for (let left = bytes; left > 0; ) {
      const chunk = this.#chunks.shift()
      if (chunk === undefined) break
      const part = chunk.subarray(0, left)
      if (part.length < chunk.length) this.#chunks.unshift(chunk.subarray(part.length))
      taken.push(part)
      left -= part.length
      this.bytes -= part.length
    }
    return taken
  }
}
