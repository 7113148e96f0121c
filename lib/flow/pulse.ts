/**
 * An alarm beside a source: something has to happen now and then, whether bytes come or not.
 *
 *     source  ──b──b────────────b──▶ bytes
 *     alarm   ────────●────●───────▶ PULSE
 *
 * The timer is given in. Nothing is added to the bytes and nothing is kept.
 */

/** Resolves after so many milliseconds, or soon after the signal aborts. Never rejects. */
export type Wait = (milliseconds: number, signal: AbortSignal) => Promise<void>

export const PULSE = Symbol('pulse')

export interface Alarm {
  readonly rang: Promise<typeof PULSE>
  off(): void
}

export const setAlarm = (milliseconds: number, wait: Wait): Alarm => {
  const controller = new AbortController()
  return { rang: wait(milliseconds, controller.signal).then(() => PULSE), off: () => controller.abort() }
}

/**
 * The bytes of the source, in order, and `PULSE` between two of them when so long has passed since the last one.
 * While the consumer is busy with what it has, no pulse comes: it follows with its next pull.
 */
export async function* withPulse(
  source: AsyncIterable<Buffer>,
  everyMs: number,
  wait: Wait,
): AsyncGenerator<Buffer | typeof PULSE> {
  const iterator = source[Symbol.asyncIterator]()
  let alarm = setAlarm(everyMs, wait)
  try {
    let next = iterator.next()
    for (;;) {
      // The alarm first: a flood of bytes must not drown it.
      const result = await Promise.race([alarm.rang, next])
      if (result === PULSE) {
        alarm = setAlarm(everyMs, wait)
        yield PULSE
        continue
      }
      if (result.done === true) return
      next = iterator.next()
      next.catch(() => undefined) // seen at the next turn, which a slow consumer may keep waiting
      yield result.value
    }
  } finally {
    alarm.off()
    // Not waited for: whoever leaves us early has aborted the source by other means.
    Promise.resolve(iterator.return?.()).catch(() => undefined)
  }
}
