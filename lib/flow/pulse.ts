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
  const bell = new Bell(everyMs, wait)
  try {
    let next = iterator.next()
    for (;;) {
      await bell.rangOr(next)
      // The bell first: a flood of bytes must not drown it.
      if (bell.takeRing()) {
        yield PULSE
        continue
      }
      const result = await next
      if (result.done === true) return
      next = iterator.next()
      next.catch(() => undefined) // seen at the next turn, which a slow consumer may keep waiting
      yield result.value
    }
  } finally {
    bell.off()
    // Not waited for: whoever leaves us early has aborted the source by other means.
    Promise.resolve(iterator.return?.()).catch(() => undefined)
  }
}

/**
 * An alarm that is wound again whenever its ring was taken.
 *
 * Not `Promise.race`: raced against one long-lived promise, every piece of the source would be kept until it rings.
 */
class Bell {
  readonly #everyMs: number
  readonly #wait: Wait
  #alarm: Alarm
  #isRinging = false
  #wake: () => void = () => {}

  constructor(everyMs: number, wait: Wait) {
    this.#everyMs = everyMs
    this.#wait = wait
    this.#alarm = this.#wind()
  }

  /** Resolves when it rings, or when the other has settled, well or not. */
  rangOr(other: Promise<unknown>): Promise<void> {
    if (this.#isRinging) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => resolve()
      this.#wake = done
      other.then(done, done)
    })
  }

  /** Whether it rang since the last time. */
  takeRing(): boolean {
    if (!this.#isRinging) return false
    this.#isRinging = false
    this.#alarm = this.#wind()
    return true
  }

  off(): void {
    this.#alarm.off()
  }

  #wind(): Alarm {
    const alarm = setAlarm(this.#everyMs, this.#wait)
    void alarm.rang.then(() => {
      this.#isRinging = true
      this.#wake()
    })
    return alarm
  }
}
