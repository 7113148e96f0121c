import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { createDecoder, createEncoder, type EncodingName } from '../../lib/encodings/index.ts'
import { sharedKernels } from '../../lib/encodings/kernels.ts'
import { mustRun } from '../rig/run-program.ts'
import { cutAt, encodeAll, outcomeOf } from './streams.ts'

const NAMES: [EncodingName][] = [['uuencode'], ['base64']]

/** Bytes that look like random ones, the same in every run. */
const noise = (bytes: number): Buffer => {
  const made = Buffer.alloc(bytes)
  for (let at = 0, state = 1; at < bytes; at += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    made[at] = state >>> 24
  }
  return made
}

/** Where a piece lies, so that two in one place are the same. */
const addressOf = (piece: Buffer | undefined): unknown => [piece?.buffer, piece?.byteOffset]

test('this machine has kernels, so the tests of the encodings are tests of them', () => {
  expect(sharedKernels()).toBeDefined()
})

describe.each(NAMES)('%s by the kernels', (name) => {
  const byKernels = (raw: Buffer, blockBytes: number, cuts: readonly number[] = []): Buffer =>
    encodeAll(createEncoder(name, { blockBytes }), cutAt(raw, cuts))
  const plainly = (raw: Buffer, blockBytes: number): Buffer =>
    encodeAll(createEncoder(name, { blockBytes, plain: true }), [raw])

  test('is what plain JavaScript makes of every number of bytes', () => {
    const raw = noise(1000)
    const wrong: number[] = []

    for (let bytes = 0; bytes <= raw.length; bytes += 1) {
      const part = raw.subarray(0, bytes)
      if (!byKernels(part, 135).equals(plainly(part, 135))) wrong.push(bytes)
    }

    expect(wrong).toEqual([])
  })

  test('is what plain JavaScript makes in blocks of every size, also where lines are cut by chunks', () => {
    const raw = noise(3000)
    const wrong: number[] = []

    for (let blockBytes = 57; blockBytes <= 2200; blockBytes += 1) {
      const wanted = plainly(raw, blockBytes)
      if (!byKernels(raw, blockBytes).equals(wanted)) wrong.push(blockBytes)
      if (!byKernels(raw, blockBytes, [blockBytes % 97, 1000, 1001]).equals(wanted)) wrong.push(blockBytes)
    }

    expect(wrong).toEqual([])
  })

  test('is what plain JavaScript makes of any bytes, however they are cut', () => {
    const sizes = fc.oneof(fc.nat(5000), fc.integer({ min: 60_000, max: 140_000 }))
    fc.assert(
      fc.property(
        sizes,
        fc.constantFrom(57, 101, 10_240, 65_536, 65_537, 1_048_576),
        fc.array(fc.nat(140_000)),
        (bytes, blockBytes, at) => {
          const raw = randomBytes(bytes)
          const cuts = at.filter((offset) => offset <= bytes).toSorted((a, b) => a - b)

          expect(byKernels(raw, blockBytes, cuts).equals(plainly(raw, blockBytes))).toBe(true)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('reads what plain JavaScript reads, and refuses the rest in the same words, whichever byte is which', () => {
    const raw = noise(6 * 57 + 10)
    const wire = encodeAll(createEncoder(name), [raw])
    const differing: string[] = []

    // In and around the third line, which the kernel has before it and behind it.
    for (let at = 150; at < 240; at += 1) {
      for (let byte = 0; byte < 256; byte += 1) {
        const changed = Buffer.from(wire)
        changed[at] = byte
        const fast = JSON.stringify(outcomeOf(createDecoder(name), [changed]))
        if (fast !== JSON.stringify(outcomeOf(createDecoder(name, { plain: true }), [changed])))
          differing.push(`${byte} at ${at}`)
      }
    }

    expect(differing).toEqual([])
  })

  test('reads a long stream with something wrong in it as plain JavaScript does, however it is cut', () => {
    const wire = encodeAll(createEncoder(name), [noise(100_000)])
    fc.assert(
      fc.property(fc.nat(wire.length - 1), fc.nat(255), fc.array(fc.nat(wire.length)), (at, byte, offsets) => {
        const changed = Buffer.from(wire)
        changed[at] = byte
        const cuts = offsets.toSorted((a, b) => a - b)

        const fast = outcomeOf(createDecoder(name), cutAt(changed, cuts))

        expect(fast).toEqual(outcomeOf(createDecoder(name, { plain: true }), [changed]))
      }),
      { numRuns: 200 },
    )
  })

  /** One that has gone on for so long that it has a memory of its own. */
  const longEncoder = () => {
    const encoder = createEncoder(name)
    for (let time = 0; time < 6; time += 1) {
      encoder.takeBack(encoder.encode(noise(10_240 * 6)).map(({ wire }) => wire))
    }
    return encoder
  }

  test('writes into a buffer that came back, and into no other', () => {
    const encoder = longEncoder()
    const raw = noise(10_240 * 5)

    const [first] = encoder.encode(raw)
    const [second] = encoder.encode(raw) // the first is still out
    encoder.takeBack([Buffer.alloc(100), first?.wire ?? Buffer.alloc(0)])
    const [third] = encoder.encode(raw)

    expect(addressOf(second?.wire)).not.toEqual(addressOf(first?.wire))
    expect(addressOf(third?.wire)).toEqual(addressOf(first?.wire))
  })

  test('leaves a buffer alone of which only a part came back', () => {
    const encoder = longEncoder()
    const raw = noise(10_240 * 5)
    const [first] = encoder.encode(raw)
    const wire = first?.wire ?? Buffer.alloc(0)
    const before = Buffer.from(wire)

    encoder.takeBack([wire.subarray(0, 100)])
    encoder.takeBack([wire.subarray(100)])
    encoder.encode(Buffer.alloc(raw.length))

    expect(wire.equals(before)).toBe(true)
  })

  test('gives a buffer out once, however often it came back', () => {
    const encoder = longEncoder()
    const raw = noise(10_240 * 5)
    const [first] = encoder.encode(raw)

    encoder.takeBack([first?.wire ?? Buffer.alloc(0), first?.wire ?? Buffer.alloc(0)])
    const [second] = encoder.encode(raw)
    const [third] = encoder.encode(raw)

    expect(addressOf(second?.wire)).not.toEqual(addressOf(third?.wire))
  })

  test.each([10_240, 1_048_576])(
    'overwrites nothing that is out, in blocks of %d bytes, however much that is',
    (blockBytes) => {
      const encoder = createEncoder(name, { blockBytes })
      const raws = Array.from({ length: 80 }, (_, index) => Buffer.alloc(blockBytes * 2, index + 1))

      const wires = raws.map((raw) => encoder.encode(raw).map(({ wire }) => wire))
      wires.push(encoder.end().map(({ wire }) => wire))

      const wanted = plainly(Buffer.concat(raws), blockBytes)
      expect(Buffer.concat(wires.flat()).equals(wanted)).toBe(true)
    },
  )

  test('has its memory to itself', () => {
    const [one, other] = [longEncoder(), longEncoder()]
    const raw = noise(10_240 * 5)
    const [first] = one.encode(raw)
    const before = Buffer.from(first?.wire ?? '')

    other.takeBack([first?.wire ?? Buffer.alloc(0)])
    for (let time = 0; time < 80; time += 1) other.encode(Buffer.alloc(raw.length))

    expect(first?.wire.equals(before)).toBe(true)
    expect(before.length).toBeGreaterThan(0)
  })
})

describe.each([...NAMES.map(([name]) => [name, false] as const), ...NAMES.map(([name]) => [name, true] as const)])(
  'what came of %s (in plain JavaScript: %s)',
  (name, plain) => {
    const RAW_BYTES = 400_000

    test('is overwritten when it came back, and not before, whatever else came back and however the wire is cut', () => {
      const raw = noise(RAW_BYTES)
      const wire = encodeAll(createEncoder(name), [raw])
      fc.assert(
        fc.property(fc.array(fc.nat(wire.length)), fc.array(fc.boolean(), { minLength: 1 }), (offsets, isKept) => {
          const decoder = createDecoder(name, { plain })
          const [kept, read]: [Buffer[], Buffer[]] = [[], []]
          const takeOut = (pieces: Buffer[]): void => {
            for (const piece of pieces) {
              const copy = Buffer.from(piece)
              read.push(copy)
              if (isKept[read.length % isKept.length] === true) kept.push(piece, copy)
              else {
                piece.fill(0xee)
                decoder.takeBack([piece, piece.subarray(1), Buffer.alloc(piece.length)])
              }
            }
          }

          for (const chunk of cutAt(
            wire,
            offsets.toSorted((a, b) => a - b),
          ))
            takeOut(decoder.decode(chunk))
          takeOut(decoder.end())

          expect(Buffer.concat(read).equals(raw)).toBe(true)
          for (let at = 0; at < kept.length; at += 2) expect(kept[at]?.equals(kept[at + 1] as Buffer)).toBe(true)
        }),
        { numRuns: 60 },
      )
    })

    test('is written into memory that came back', () => {
      const wire = encodeAll(createEncoder(name), [noise(RAW_BYTES)])
      const decoder = createDecoder(name, { plain })

      const places = new Map<unknown, Set<number>>()
      for (let at = 0; at < 300_000; at += 50_000) decoder.decode(wire.subarray(at, at + 50_000)) // a long stream
      for (let at = 300_000; at < wire.length; at += 50_000) {
        for (const piece of decoder.decode(wire.subarray(at, at + 50_000))) {
          places.set(piece.buffer, (places.get(piece.buffer) ?? new Set()).add(piece.byteOffset))
          decoder.takeBack([piece])
        }
      }

      expect([...places.values()].reduce((sum, { size }) => sum + size, 0)).toBeLessThanOrEqual(3)
    })
  },
)

describe('where there can be no kernels', () => {
  const DOOR = new URL('../../lib/encodings/index.js', import.meta.url).href
  const WITHIN = new URL('../../lib/encodings/kernels.js', import.meta.url).href
  const SCRIPT = `
    const { createEncoder, createDecoder } = await import('${DOOR}')
    const { sharedKernels } = await import('${WITHIN}')
    const raw = Buffer.alloc(100_003, 'some bytes')
    const made = ['uuencode', 'base64'].map((name) => {
      const encoder = createEncoder(name)
      const wire = Buffer.concat([...encoder.encode(raw), ...encoder.end()].map((piece) => piece.wire))
      const decoder = createDecoder(name)
      const back = Buffer.concat([...decoder.decode(wire), ...decoder.end()])
      return wire.length + ' ' + back.equals(raw)
    })
    console.log((sharedKernels() === undefined ? 'none' : 'kernels') + ' ' + made.join(' '))`
  const node = ['--input-type=module', '-e', SCRIPT]
  const sizes = (name: EncodingName): number => encodeAll(createEncoder(name), [Buffer.alloc(100_003)]).length

  test.each<[string, string, string[]]>([
    ['because Node has no WebAssembly', process.execPath, ['--no-expose-wasm', ...node]],
    ['because it may not compile', process.execPath, ['--jitless', ...node]],
    // What xinetd's rlimit_as does: a memory of WebAssembly has gigabytes of guards around it.
    ['because address space is limited', 'prlimit', ['--as=4294967296', process.execPath, ...node]],
  ])('the same bytes come out: %s', async (_, program, args) => {
    const { stdout } = await mustRun(program, args)

    expect(stdout.toString().trim()).toBe(`none ${sizes('uuencode')} true ${sizes('base64')} true`)
  })

  test('and where there can, they are used', async () => {
    const { stdout } = await mustRun(process.execPath, node)

    expect(stdout.toString()).toMatch(/^kernels /)
    expect(fileURLToPath(WITHIN)).toMatch(/kernels\.js$/)
  })
})
