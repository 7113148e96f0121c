/**
 * A clock that stands still while this process does.
 *
 *     tick ──250 ms── tick ──── stopped for a minute ──── tick      counts as a quarter of a second each
 *
 * A process that was stopped (SIGSTOP, a virtual machine that was moved) has read nothing and
 * sent nothing meanwhile: neither the backup program nor the client is to blame for it. Who is
 * watched by this clock gets a new chance to be heard. Pure: the other clock is passed in.
 */

/** A busy machine keeps a process waiting too; that long it is not kept. */
const STOPPED_MS = 5_000

export class AwakeClock {
  readonly #clockMs: () => number
  #tickMs: number
  #stoppedMs = 0

  /** @param clockMs a monotonic clock, milliseconds */
  constructor(clockMs: () => number) {
    this.#clockMs = clockMs
    this.#tickMs = clockMs()
  }

  /** To be called a few times a second, before anybody asks for the time. */
  tick(): void {
    const now = this.#clockMs()
    if (now - this.#tickMs >= STOPPED_MS) this.#stoppedMs += now - this.#tickMs
    this.#tickMs = now
  }

  /** Milliseconds without those in which nobody ticked. */
  readonly nowMs = (): number => this.#clockMs() - this.#stoppedMs
}
