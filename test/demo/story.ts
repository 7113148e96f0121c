/**
 * Tells the demo as it happens: what is done, what came of it, how long it took.
 *
 *     server      MariaDB 10.11.19, reachable only over its socket                    0.3 s
 */

const NAME_COLUMNS = 12
const TEXT_COLUMNS = 92

/** The demo did not come out as it should; the message is one clear sentence. */
export class DemoFailure extends Error {}

export class Story {
  readonly #out: NodeJS.WritableStream
  readonly #started = performance.now()
  #chapter = 'the beginning'

  constructor(out: NodeJS.WritableStream = process.stdout) {
    this.#out = out
  }

  /** Name of the chapter that is being told, for the report of a failure. */
  get chapter(): string {
    return this.#chapter
  }

  /** Seconds since the story began. */
  get seconds(): number {
    return (performance.now() - this.#started) / 1000
  }

  /** Does the work of one chapter; `tell` makes of its result what the line says. */
  async tell<Result>(
    name: string,
    work: () => Promise<Result>,
    tell: (result: Result, seconds: number) => string,
  ): Promise<Result> {
    this.#chapter = name
    this.#out.write(name.padEnd(NAME_COLUMNS))
    const started = performance.now()
    try {
      const result = await work()
      const seconds = (performance.now() - started) / 1000
      this.#out.write(`${tell(result, seconds).padEnd(TEXT_COLUMNS)} ${formatSeconds(seconds).padStart(7)}\n`)
      return result
    } catch (error) {
      this.#out.write('\n')
      throw error
    }
  }

  /** A line of its own. */
  say(text = ''): void {
    this.#out.write(`${text}\n`)
  }
}

export const formatSeconds = (seconds: number): string => `${seconds.toFixed(1)} s`

/** Megabytes of a million bytes, as disks and networks count. */
export const formatMegabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`
