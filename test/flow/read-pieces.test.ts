import { describe, expect, test } from '@jest/globals'

import { ReadPieces } from '../../lib/flow/index.ts'

const KIB = 1024

/** A socket, as far as `onread` goes: it puts bytes into the buffer and says how many. */
const reading = (fullBytes = 128 * KIB) => {
  const said: string[] = []
  const pieces = new ReadPieces({
    fullBytes,
    maxFree: 2,
    resume: () => said.push('resume'),
    abandon: () => said.push('abandon'),
  })
  const come = (letter: string, bytes: number): boolean => {
    pieces.onread.buffer().fill(letter, 0, bytes)
    return pieces.onread.callback(bytes)
  }
  const taken = async (): Promise<string> => {
    const { value } = await pieces.next()
    return value === undefined ? 'the end' : `${value.length} ${value.toString('latin1', 0, 1)}`
  }
  return { pieces, said, come, taken }
}

describe('what a socket gives', () => {
  test('comes in its order, and then its end, to who waits and who does not', async () => {
    const { pieces, come, taken } = reading()
    const waiting = taken()

    come('a', 10)
    come('b', 200 * KIB)
    come('c', 20)
    pieces.end()

    expect([await waiting, await taken(), await taken(), await taken()]).toEqual([
      '10 a',
      `${200 * KIB} b`,
      '20 c',
      'the end',
    ])
    expect(pieces.bytesRead).toBe(200 * KIB + 30)
  })

  test('is read ahead a little, and on when that was taken', async () => {
    const { pieces, said, come, taken } = reading()

    expect(come('a', 200 * KIB)).toBe(true)
    expect(come('b', 200 * KIB)).toBe(false)
    expect(pieces.readyBytes).toBe(400 * KIB)
    await taken()
    expect(said).toEqual([])
    await taken()
    expect(said).toEqual(['resume'])
    expect(pieces.readyBytes).toBe(0)
  })

  test('is not overwritten until it came back, all of it, and then it is', async () => {
    const { pieces, come } = reading()
    const next = async (): Promise<Buffer> => (await pieces.next()).value as Buffer
    come('a', 200 * KIB)
    const first = await next()
    come('b', 200 * KIB)
    const second = await next()

    pieces.buffers.takeBack([first.subarray(0, 100)])
    come('c', 200 * KIB)
    const third = await next()
    expect([first, second, third].map((bytes) => bytes.toString('latin1', 0, 1)).join('')).toBe('abc')

    pieces.buffers.takeBack([first.subarray(100)])
    come('d', 200 * KIB) // into a buffer that was taken before it came back
    come('e', 200 * KIB)
    expect(first.toString('latin1', 0, 1)).toBe('e')
  })

  test('is copied where it would keep a buffer that is mostly empty', async () => {
    const { pieces, come } = reading(100)
    come('a', 99)
    const small = (await pieces.next()).value as Buffer
    const readInto = pieces.onread.buffer()
    come('b', 100)
    const large = (await pieces.next()).value as Buffer

    expect(small.toString('latin1')).toBe('a'.repeat(99))
    expect(small.buffer.byteLength).toBeLessThan(256 * KIB)
    expect(readInto.length).toBe(256 * KIB)
    expect(large.buffer).toBe(readInto.buffer)
  })

  test('is dropped when it failed, and whoever asks is told why, whoever waits at once', async () => {
    const { pieces, come } = reading()
    const [broken, other] = [new Error('broken'), new Error('another')]
    const { pieces: waitedFor } = reading()
    const waiting = waitedFor.next()

    come('a', 10)
    pieces.fail(broken)
    pieces.fail(other)
    waitedFor.fail(broken)

    await expect(pieces.next()).rejects.toBe(broken)
    await expect(pieces.next()).rejects.toBe(broken)
    await expect(waiting).rejects.toBe(broken)
    expect(come('b', 10)).toBe(false)
    expect(pieces.readyBytes).toBe(0)
  })

  test('is whole when it has ended and was taken: nothing that fails behind that is told', async () => {
    const { pieces, come, taken } = reading()
    come('a', 10)
    pieces.end()
    await taken()

    pieces.fail(new Error('too late'))

    expect(await taken()).toBe('the end')
    await expect(pieces.closed).resolves.toBeUndefined()
  })

  test('is not whole while something of it was not taken', async () => {
    const { pieces, come } = reading()
    come('a', 10)
    pieces.end()

    pieces.fail(new Error('broken'))

    await expect(pieces.next()).rejects.toThrow('broken')
    await expect(pieces.closed).resolves.toBeUndefined()
  })

  test('is given up by who stops reading', async () => {
    const { pieces, said, come } = reading()
    come('a', 10)

    for await (const bytes of pieces) {
      expect(bytes.length).toBe(10)
      break
    }

    expect(said).toContain('abandon')
  })
})
