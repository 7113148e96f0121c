import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from '@jest/globals'

import { PULSE, withPulse } from '../../lib/flow/index.ts'

/** A clock whose alarms ring when the test says so. */
class Bell {
  #alarms: (() => void)[] = []

  readonly wait = (_: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      this.#alarms.push(resolve)
      signal.addEventListener('abort', () => resolve(), { once: true })
    })

  ring(): void {
    for (const alarm of this.#alarms.splice(0)) alarm()
  }
}

/** A source that gives what it is handed, when it is handed. */
class Hand {
  #waiting: ((result: IteratorResult<Buffer>) => void)[] = []
  #ready: IteratorResult<Buffer>[] = []
  returned = false

  give(text: string): void {
    this.#put({ done: false, value: Buffer.from(text) })
  }

  end(): void {
    this.#put({ done: true, value: undefined })
  }

  #put(result: IteratorResult<Buffer>): void {
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#ready.push(result)
    else waiting(result)
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer> {
    return {
      next: () =>
        new Promise((resolve) => {
          const ready = this.#ready.shift()
          if (ready === undefined) this.#waiting.push(resolve)
          else resolve(ready)
        }),
      return: async () => {
        this.returned = true
        return { done: true, value: undefined }
      },
    }
  }
}

const shown = ({ value, done }: IteratorResult<Buffer | typeof PULSE>): string =>
  done === true ? 'end' : value === PULSE ? 'pulse' : value.toString()

test('bytes come in order, and a pulse whenever the alarm rings between them', async () => {
  const [bell, hand] = [new Bell(), new Hand()]
  const stream = withPulse(hand, 1000, bell.wait)
  const seen: string[] = []
  const pull = async (): Promise<void> => void seen.push(shown(await stream.next()))

  hand.give('a')
  await pull()
  const quiet = pull()
  bell.ring()
  await quiet
  hand.give('b')
  await pull()
  hand.end()
  await pull()

  expect(seen).toEqual(['a', 'pulse', 'b', 'end'])
})

test('a flood of bytes does not drown the pulse', async () => {
  const [bell, hand] = [new Bell(), new Hand()]
  const stream = withPulse(hand, 1000, bell.wait)
  for (const text of ['a', 'b', 'c']) hand.give(text)
  hand.end()
  const seen = [shown(await stream.next())]

  bell.ring()
  await new Promise(setImmediate) // the bell was heard long ago when a slow consumer comes back
  for await (const value of stream) seen.push(shown({ value }))

  expect(seen).toEqual(['a', 'pulse', 'b', 'c'])
})

test('a source that fails is heard, and one that is left is told', async () => {
  const failing = withPulse(
    (async function* () {
      yield Buffer.from('a')
      throw new Error('broken')
    })(),
    1000,
    new Bell().wait,
  )
  const hand = new Hand()
  hand.give('a')
  const left = withPulse(hand, 1000, new Bell().wait)

  await failing.next()
  await left.next()
  await left.return(undefined)

  await expect(failing.next()).rejects.toThrow('broken')
  expect(hand.returned).toBe(true)
})

test('nothing that has passed is kept, however long the alarm is silent', async () => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const passed: WeakRef<Buffer>[] = []
  async function* source(): AsyncGenerator<Buffer> {
    for (let count = 0; count < 100; count += 1) {
      const bytes = Buffer.alloc(1000)
      passed.push(new WeakRef(bytes))
      yield bytes
    }
  }

  const stream = withPulse(source(), 1000, new Bell().wait)
  for (let count = 0; count < 90; count += 1) await stream.next()
  await new Promise(setImmediate) // what was looked at in this turn is kept until its end
  gc()
  const kept = passed.filter((piece) => piece.deref() !== undefined).length
  await stream.return(undefined)

  expect(kept).toBeLessThan(10)
})
