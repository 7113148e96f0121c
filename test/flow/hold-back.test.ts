import { describe, expect, test } from '@jest/globals'

import { HoldBack } from '../../lib/flow/index.ts'

const piece = (text: string, rawEnd: number) => ({ wire: Buffer.from(text), rawEnd })
const text = (buffers: readonly Buffer[]): string => Buffer.concat(buffers).toString()

/** Every tar refuses a cut inside a body, here at 10 to 19 and at 30 to 39. */
const insideBody = (offset: number): boolean => (offset >= 10 && offset < 20) || (offset >= 30 && offset < 40)

describe('what has left the agent', () => {
  test('ends where every tar refuses to end', () => {
    const holdBack = new HoldBack(insideBody)

    const left = [piece('a', 5), piece('b', 12), piece('c', 20), piece('d', 25), piece('e', 31)].map((next) =>
      text(holdBack.push(next)),
    )

    expect(left).toEqual(['', 'ab', '', '', 'cde'])
  })

  test('keeps the end of the archive until it is released', () => {
    const holdBack = new HoldBack(insideBody)
    holdBack.push(piece('body', 39))

    const end = [piece('padding', 40), piece('end', 1064)].map((next) => text(holdBack.push(next)))
    const waiting = holdBack.heldBytes
    const released = text(holdBack.release())

    expect(end).toEqual(['', ''])
    expect(waiting).toBe('paddingend'.length)
    expect(released).toBe('paddingend')
    expect(holdBack.heldBytes).toBe(0)
  })

  test('is every byte, once and in order', () => {
    const holdBack = new HoldBack((offset) => offset % 7 === 3)
    const pieces = Array.from({ length: 200 }, (_, index) => piece(`${index},`, index * 3))

    const left = text([...pieces.flatMap((next) => holdBack.push(next)), ...holdBack.release()])

    expect(left).toBe(pieces.map(({ wire }) => wire.toString()).join(''))
  })
})
