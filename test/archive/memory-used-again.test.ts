/**
 * The converter on memory that is used again: each buffer is overwritten at the moment when all of it has come back, and a
 * consumer looks at what it was given as late as it may. What comes out is what comes out of memory of its own.
 */

import { afterAll, expect, test } from '@jest/globals'
import fc from 'fast-check'

import type { ReusedMemory } from '../../lib/archive/index.ts'
import { type XbstreamToTarOptions, xbstreamToTar } from '../../lib/archive/xbstream-to-tar.ts'
import { Scratch } from '../engines/stand-ins.ts'
import { options, pattern } from './converting.ts'
import { endChunk, payloadChunk } from './xbstream-writer.ts'

const KIB = 1024
const BUFFER_BYTES = 96 * KIB
const RUBBISH = 0xee

const scratch = new Scratch()
afterAll(() => scratch.remove())

class OverwrittenMemory implements ReusedMemory {
  readonly #free: Buffer[] = []
  readonly #out = new Map<ArrayBufferLike, { readonly buffer: Buffer; bytes: number }>()
  usedAgain = 0

  take(): Buffer {
    const again = this.#free.pop()
    if (again === undefined) return Buffer.alloc(BUFFER_BYTES)
    this.usedAgain += 1
    return again
  }

  lend(buffer: Buffer, bytes: number): Buffer {
    this.#out.set(buffer.buffer, { buffer, bytes })
    return buffer.subarray(0, bytes)
  }

  takeBack(views: readonly Buffer[]): void {
    for (const view of views) {
      const lent = this.#out.get(view.buffer)
      if (lent === undefined) continue
      lent.bytes -= view.length
      if (lent.bytes < 0) throw new Error('more was given back than was lent')
      if (lent.bytes > 0) continue
      this.#out.delete(view.buffer)
      this.#free.push(lent.buffer.fill(RUBBISH))
    }
  }
}

/** Never used again. */
class FreshMemory implements ReusedMemory {
  take(): Buffer {
    return Buffer.alloc(BUFFER_BYTES)
  }

  lend(buffer: Buffer, bytes: number): Buffer {
    return buffer.subarray(0, bytes)
  }

  takeBack(): void {}
}

interface File {
  readonly path: string
  readonly sizeBytes: number
  readonly chunkBytes: number
  readonly isSized: boolean
}

/** Their chunks side by side, as several threads write them. */
const mixed = (files: readonly File[], together: number): Buffer => {
  const chunks: Buffer[] = []
  const waiting = [...files]
  const open: { readonly file: File; readonly content: Buffer; at: number }[] = []
  while (waiting.length > 0 || open.length > 0) {
    while (open.length < together && waiting.length > 0) {
      const file = waiting.shift() as File
      open.push({ file, content: pattern(file.sizeBytes, file.sizeBytes + waiting.length), at: 0 })
    }
    const next = open.shift() as (typeof open)[number]
    const { path, chunkBytes } = next.file
    const { content } = next
    if (next.at >= content.length) {
      chunks.push(endChunk(path))
      continue
    }
    const bytes = content.subarray(next.at, next.at + chunkBytes)
    chunks.push(payloadChunk(path, next.at, bytes))
    next.at += bytes.length
    open.push(next)
  }
  return Buffer.concat(chunks)
}

/** @param late pieces that wait at the consumer, who looks at each when it leaves */
const convertOn = async (
  memory: ReusedMemory,
  stream: Buffer,
  readBytes: number,
  late: number,
  settings: Partial<XbstreamToTarOptions>,
): Promise<Buffer> => {
  const source = async function* (): AsyncGenerator<Buffer> {
    for (let at = 0; at < stream.length; at += readBytes) {
      const buffer = memory.take()
      yield memory.lend(buffer, stream.copy(buffer, 0, at, at + readBytes))
    }
  }
  const seen: Buffer[] = []
  const waiting: Buffer[] = []
  const look = (piece: Buffer): void => {
    seen.push(Buffer.from(piece))
    memory.takeBack([piece])
  }
  for await (const piece of xbstreamToTar(source(), options(scratch.directory('spool'), { ...settings, memory }))) {
    waiting.push(piece)
    if (waiting.length > late) look(waiting.shift() as Buffer)
  }
  for (const piece of waiting) look(piece)
  return Buffer.concat(seen)
}

const file = fc.record({
  ending: fc.constantFrom('ibd', 'frm', 'MYD', 'MAD'),
  sizeBytes: fc.oneof(
    fc.nat({ max: 3000 }),
    fc.integer({ min: 3000, max: 70_000 }),
    fc.integer({ min: 70_000, max: 400_000 }),
  ),
  chunkBytes: fc.constantFrom(1000, 30_000, 32 * KIB, 70_000, 400_000),
  isSized: fc.boolean(),
})

const files = fc.array(file, { minLength: 1, maxLength: 24 }).map((all) =>
  all.map(({ ending, sizeBytes, chunkBytes, isSized }, index): File => {
    return { path: `db/t${index}.${ending}`, sizeBytes, chunkBytes, isSized }
  }),
)

test('makes the same archive of it', async () => {
  let usedAgain = 0
  await fc.assert(
    fc.asyncProperty(
      files,
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1000, max: BUFFER_BYTES }),
      fc.nat({ max: 6 }),
      // With the first nothing is kept as it came, with the second much.
      fc.constantFrom(256 * KIB, 1024 * KIB),
      async (all, together, readBytes, late, memoryBytes) => {
        const stream = mixed(all, together)
        const sizes = new Map(all.map(({ path, sizeBytes, isSized }) => [path, isSized ? sizeBytes : undefined]))
        const sizeOf = (path: string): number | undefined => sizes.get(path)
        const settings = { memoryBytes, sizeOf, restingSizeOf: sizeOf }

        const memory = new OverwrittenMemory()
        const tar = await convertOn(memory, stream, readBytes, late, settings)

        const wanted = await convertOn(new FreshMemory(), stream, readBytes, 0, settings)
        expect(tar.equals(wanted)).toBe(true)
        usedAgain += memory.usedAgain
      },
    ),
    { numRuns: 60, endOnFailure: true },
  )
  expect(usedAgain).toBeGreaterThan(400)
}, 300_000)

test('uses the memory of many small files again, and needs little of it', async () => {
  const all = Array.from({ length: 400 }, (_, index): File => {
    return { path: `db/t${index}.frm`, sizeBytes: 2000, chunkBytes: 2000, isSized: false }
  })
  const memory = new OverwrittenMemory()

  await convertOn(memory, mixed(all, 1), 64 * KIB, 0, { memoryBytes: 256 * KIB })

  // 800 kB come in 14 reads and leave in about as many pieces.
  expect(memory.usedAgain).toBeGreaterThan(15)
})
