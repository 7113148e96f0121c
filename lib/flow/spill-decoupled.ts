/**
 * Reads a source at its own pace, while somebody else takes its bytes at theirs.
 *
 *     source ──▶ spill ──▶ consumer
 *     read as fast as      asks when the
 *     the spill has room   network has room
 *
 * Nothing goes on behind anybody's back after the end: whichever side stops first, the
 * other one is told, and the spill is closed.
 */

import type { Spill } from './spill.ts'

export interface DecoupledOptions {
  readonly signal?: AbortSignal | undefined
  /**
   * Called at once when the source has failed. The consumer hears of it when it asks
   * next, and one that waits for a stalled network asks for nothing. Must not throw.
   */
  readonly onSourceFailure?: ((error: unknown) => void) | undefined
}

/**
 * The bytes of `source`, in order. The source is read from the first pull on.
 *
 * When the source fails, its error is the answer to the next pull, whatever the spill
 * still holds: an archive that is known to be broken must not go on being sent. When the
 * consumer stops, or the signal says so, the source is told to return; it is waited for,
 * unless it is in the middle of producing something, which may take for ever. The spill
 * is closed in every case, and cannot be used again.
 *
 * @throws what the source throws; the signal's reason; BackupError `SCRATCH_IO` when spilled bytes do not come back
 */
export async function* decoupled(
  source: AsyncIterable<Buffer>,
  spill: Spill,
  { signal, onSourceFailure }: DecoupledOptions = {},
): AsyncGenerator<Buffer> {
  const pump = new Pump(source, spill, onSourceFailure)
  const onAbort = () => {
    spill.fail(signal?.reason)
    void pump.stop()
  }
  signal?.addEventListener('abort', onAbort)
  try {
    if (signal?.aborted === true) onAbort()
    else pump.start()
    yield* spill
  } finally {
    signal?.removeEventListener('abort', onAbort)
    await Promise.all([spill.close(), pump.stop()])
  }
}

class Pump {
  readonly #iterator: AsyncIterator<Buffer>
  readonly #spill: Spill
  readonly #onSourceFailure: ((error: unknown) => void) | undefined
  #running: Promise<void> = Promise.resolve()
  #isAsking = false
  #isAtEnd = false // by itself, well or not
  #stopping: Promise<void> | undefined

  constructor(source: AsyncIterable<Buffer>, spill: Spill, onSourceFailure: ((error: unknown) => void) | undefined) {
    this.#iterator = source[Symbol.asyncIterator]()
    this.#spill = spill
    this.#onSourceFailure = onSourceFailure
  }

  start(): void {
    this.#running = this.#run()
  }

  /** Tells the source to stop. Never throws: what breaks while it is cleared away is not what went wrong. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    if (this.#isAtEnd) return
    const isAsking = this.#isAsking
    // The spill is failed or being closed, so nothing but the source can keep the loop from its end.
    if (!isAsking) await this.#running
    const returned = this.#iterator.return?.().catch(() => {})
    if (!isAsking) await returned
  }

  /** Never throws. */
  async #run(): Promise<void> {
    try {
      while (this.#stopping === undefined) {
        this.#isAsking = true
        const result = await this.#iterator.next()
        this.#isAsking = false
        if (this.#stopping !== undefined) return
        if (result.done === true) {
          this.#isAtEnd = true
          this.#spill.end()
          return
        }
        await this.#spill.push(result.value)
      }
    } catch (error) {
      this.#isAtEnd = true
      if (this.#stopping !== undefined) return
      this.#spill.fail(error)
      this.#onSourceFailure?.(error)
    }
  }
}
