import { describe, expect, test } from '@jest/globals'

import { GatheredWrites } from '../../lib/archive/index.ts'

const MIB = 1024 * 1024

/** A file whose writes end when they are told to. */
class SlowFile {
  text = ''
  readonly sizes: number[] = []
  #end: ((error?: Error) => void) | undefined

  readonly writes = new GatheredWrites((bytes) => {
    if (this.#end !== undefined) throw new Error('two writes at a time')
    this.sizes.push(bytes.length)
    return new Promise((resolve, reject) => {
      this.#end = (error) => {
        this.#end = undefined
        this.text += bytes.toString('latin1') // as it is now: nobody may have changed it meanwhile
        if (error === undefined) resolve()
        else reject(error)
      }
    })
  })

  get isBusy(): boolean {
    return this.#end !== undefined
  }

  end(error?: Error): void {
    this.#end?.(error)
  }

  /** Ends every write as soon as it has begun, until this is over. */
  async during<Result>(work: Promise<Result>): Promise<Result> {
    let isOver = false
    const over = (): void => {
      isOver = true
    }
    work.then(over, over)
    while (!isOver) {
      this.end()
      await settled()
    }
    return work
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Settles at once, or not while nothing else happens. */
const isSettled = async (promise: Promise<unknown>): Promise<boolean> => {
  let is = false
  const settle = (): void => {
    is = true
  }
  promise.then(settle, settle)
  await settled()
  return is
}

const piece = (letter: string, bytes: number): Buffer => Buffer.alloc(bytes, letter)

describe('writes of a file', () => {
  test('are few and large, and what was written is the same, in its order', async () => {
    const file = new SlowFile()
    const pieces = Array.from({ length: 40 }, (_, index) => piece(String.fromCharCode(65 + index), 60_000 + index))

    for (const bytes of pieces) await file.during(file.writes.write(bytes))
    await file.during(file.writes.flush())

    expect(file.text).toBe(Buffer.concat(pieces).toString('latin1'))
    expect(file.sizes).toEqual([MIB, MIB, Buffer.concat(pieces).length - 2 * MIB])
  })

  test('take the bytes at once: what the caller does with them afterwards does not matter', async () => {
    const file = new SlowFile()
    const bytes = piece('a', 1000)

    await file.writes.write(bytes)
    bytes.fill('b')
    await file.during(file.writes.flush())

    expect(file.text).toBe('a'.repeat(1000))
  })

  test('go on beside the one that is under way, until both pieces are full', async () => {
    const file = new SlowFile()
    const quarter = piece('x', MIB / 8)

    for (let time = 0; time < 8 + 7; time += 1) await file.writes.write(quarter)
    const last = file.writes.write(quarter)

    expect(file.sizes).toEqual([MIB])
    expect(await isSettled(last)).toBe(false)
    file.end()
    expect(await isSettled(last)).toBe(true)
    expect(file.sizes).toEqual([MIB, MIB])
  })

  test('of large pieces wait for what stood before them, and are not copied', async () => {
    const file = new SlowFile()

    await file.writes.write(piece('a', 10))
    const large = file.writes.write(piece('b', MIB / 2))
    await file.during(large)

    expect(file.sizes).toEqual([10, MIB / 2])
    expect(file.text).toBe(`${'a'.repeat(10)}${'b'.repeat(MIB / 2)}`)
  })

  test('are over only when the file has said so', async () => {
    const file = new SlowFile()
    await file.writes.write(piece('a', 10))

    const flushed = file.writes.flush()

    expect(await isSettled(flushed)).toBe(false)
    file.end()
    expect(await isSettled(flushed)).toBe(true)
    await expect(flushed).resolves.toBeUndefined()
  })

  test('that failed are told to whoever comes next, each of them, and nothing is written any more', async () => {
    const file = new SlowFile()
    const full = new Error('no space left')
    for (let time = 0; time < 8; time += 1) await file.writes.write(piece('x', MIB / 8))

    file.end(full)
    await settled()

    await expect(file.writes.write(piece('y', MIB / 2))).rejects.toBe(full)
    await file.writes.write(piece('z', 10)) // may be taken, and never counts
    await expect(file.writes.flush()).rejects.toBe(full)
    await expect(file.writes.flush()).rejects.toBe(full)
    expect(file.sizes).toEqual([MIB])
  })
})
