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
  const bell = new Bell(wait)
  bell.wind(everyMs)
  try {
    let next = iterator.next()
    for (;;) {
      await bell.rangOr(next)
      // The bell first: a flood of bytes must not drown it.
      if (bell.takeRing()) {
        bell.wind(everyMs)
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
 * An alarm for one who waits for something else as well.
 *
 * Not `Promise.race`: raced against one long-lived promise, every piece of the source would be kept until it rings.
 */
export class Bell {
  readonly #wait: Wait
  #alarm: AbortController | undefined
  #isRinging = false
  #wake: () => void = () => {}

  constructor(wait: Wait) {
    this.#wait = wait
  }

  /** Lets it ring in so many milliseconds, and not when it would have before. */
  wind(milliseconds: number): void {
    this.off()
    const alarm = new AbortController()
    this.#alarm = alarm
    void this.#wait(milliseconds, alarm.signal).then(() => {
      if (alarm.signal.aborted) return
      this.#isRinging = true
      this.#wake()
    })
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

  /** Whether it rang since the last time. It is silent then until it is wound. */
  takeRing(): boolean {
    const rang = this.#isRinging
    this.#isRinging = false
    return rang
  }

  off(): void {
    this.#isRinging = false
    this.#alarm?.abort()
  }
}
