import { describe, expect, test } from '@jest/globals'

import { type NeverQuietOptions, neverQuiet } from '../../lib/flow/index.ts'

/** A clock that stands still until it is told to go on. */
class Clock {
  #waiting = new Set<() => void>()
  #nowMs = 0
  #dueMs = 0

  /** How long each alarm was set for. */
  readonly set: number[] = []

  readonly wait = (milliseconds: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      this.set.push(milliseconds)
      this.#dueMs = this.#nowMs + milliseconds
      this.#waiting.add(resolve)
      signal.addEventListener('abort', () => this.#waiting.delete(resolve))
    })

  readonly nowMs = (): number => this.#nowMs

  /** So long goes by before it rings next. */
  pass(milliseconds: number): void {
    this.#nowMs += milliseconds
  }

  /** The quiet time is over. */
  ring(): void {
    this.#nowMs = Math.max(this.#nowMs, this.#dueMs)
    for (const resolve of [...this.#waiting]) resolve()
  }

  get alarms(): number {
    return this.#waiting.size
  }
}

/** A source that gives what it is told to, when it is told to. */
class Source implements AsyncIterable<Buffer> {
  #ask: ((result: IteratorResult<Buffer>) => void) | undefined
  #refuse: ((error: Error) => void) | undefined
  stopped = false

  give(text: string): void {
    this.#ask?.({ done: false, value: Buffer.from(text) })
  }

  end(): void {
    this.#ask?.({ done: true, value: undefined })
  }

  fail(): void {
    this.#refuse?.(new Error('the source failed'))
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer> {
    return {
      next: () =>
        new Promise((resolve, reject) => {
          this.#ask = resolve
          this.#refuse = reject
        }),
      return: async () => {
        this.stopped = true
        return { done: true, value: undefined }
      },
    }
  }
}

const running = (options: Partial<NeverQuietOptions> = {}) => {
  const clock = new Clock()
  const source = new Source()
  const out: string[] = []
  const spent: number[] = []
  const stream = neverQuiet(source, {
    reserveBytes: 6,
    unitBytes: 2,
    quietMs: 1,
    wait: clock.wait,
    nowMs: clock.nowMs,
    onSpent: (left) => spent.push(left),
    ...options,
  })
  const ended = (async () => {
    for await (const bytes of stream) out.push(bytes.toString())
  })()
  ended.catch(() => undefined)
  /** Lets everything happen that can happen without the clock or the source. */
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  return { clock, source, out, spent, ended, settle }
}

describe('a stream that is never quiet', () => {
  test('keeps the newest bytes back, and gives all of them in the end', async () => {
    const { source, out, ended, settle } = running()

    for (const text of ['abcd', 'efgh', 'ij']) {
      source.give(text)
      await settle()
    }
    const before = out.join('')
    source.end()
    await ended

    expect(before).toBe('abcd')
    expect(out.join('')).toBe('abcdefghij')
  })

  test('spends a unit of its reserve at a time while the source is quiet', async () => {
    const { clock, source, out, spent, settle } = running()
    source.give('abcdef')
    await settle()

    for (let time = 0; time < 2; time += 1) {
      clock.ring()
      await settle()
    }

    expect(out).toEqual(['ab', 'cd'])
    expect(spent).toEqual([4, 2])
  })

  test('spends more when a unit has not been enough', async () => {
    const { clock, source, out, settle } = running({ enough: () => out.join('').length >= 4 })
    source.give('abcdef')
    await settle()

    clock.ring()
    await settle()

    expect(out.join('')).toBe('abcd')
  })

  test('counts the quiet time from its own last byte, not from the last one of the source', async () => {
    const { clock, source, out, settle } = running()
    source.give('a')
    await settle()
    source.give('b') // goes into the reserve, so the consumer still has nothing
    await settle()
    expect(clock.alarms).toBe(1)

    clock.ring()
    await settle()

    expect(out).toEqual(['a', 'b'])
  })

  test('sets no alarm for each of its bytes, and yet waits for as long as after the last of them', async () => {
    const { clock, source, out, settle } = running({ quietMs: 10 })
    for (let time = 0; time < 20; time += 1) {
      source.give('abcdef')
      await settle()
      if (time === 18) clock.pass(7) // so that the last bytes leave late
    }
    const before = out.length
    expect(clock.set).toEqual([10, 10]) // until the first bytes, and from then on

    clock.ring()
    await settle()
    expect(clock.set).toEqual([10, 10, 7])
    expect(out).toHaveLength(before)

    clock.ring()
    await settle()
    expect(out).toHaveLength(before + 1)
  })

  test('waits for longer until its first bytes have left, so that the reserve is full then', async () => {
    const { clock, source, out, settle } = running({ firstQuietMs: 50 })
    clock.ring() // there is nothing yet
    await settle()
    source.give('abcd')
    await settle()
    expect(clock.set).toEqual([50, 50])

    clock.ring()
    await settle()

    expect(out).toEqual(['ab'])
    expect(clock.set).toEqual([50, 50, 1])
  })

  test('waits on when there is nothing left to spend, and goes on when there is', async () => {
    const { clock, source, out, spent, settle } = running()
    clock.ring()
    await settle()
    clock.ring()
    await settle()
    expect(spent).toEqual([])

    source.give('ab')
    await settle()
    source.give('cdefgh')
    await settle()

    expect(out).toEqual(['ab'])
  })

  test('cuts no piece while the source goes on: what is kept may be more by a part of one', async () => {
    const { source, out, settle } = running()
    const left: string[][] = []

    for (const text of ['abcdefgh', 'ijkl', 'mn']) {
      source.give(text)
      await settle()
      left.push([...out])
    }

    expect(left).toEqual([[], [], ['abcdefgh']])
  })

  test('passes on what trickles, and spends nothing of the reserve for it', async () => {
    const { clock, source, out, spent, settle } = running({ quietMs: 8000 })
    source.give('abcdefgh')
    await settle()
    const left: string[] = []

    for (const letter of 'ijkl') {
      clock.pass(1000)
      source.give(letter)
      await settle()
      left.push(out.join(''))
    }

    expect(left).toEqual(['abc', 'abcd', 'abcde', 'abcdef'])
    expect(spent).toEqual([])
  })

  test('sends nothing of the reserve after the source has failed', async () => {
    const { source, out, ended, settle } = running()
    source.give('abcdef')
    await settle()

    source.fail()

    await expect(ended).rejects.toThrow('the source failed')
    expect(out).toEqual([])
  })

  test('leaves no alarm and no source behind', async () => {
    const { clock, source, ended, settle } = running()
    source.give('abcdefgh')
    await settle()
    source.end()
    await ended

    expect(clock.alarms).toBe(0)
    expect(source.stopped).toBe(true)
  })
})
