import fc from 'fast-check'
import { expect, test } from '@jest/globals'

import { decoupled, Spill } from '../../lib/flow/index.ts'
import { MemoryDisk, OddDisk, systemError } from '../scratch/odd-disk.ts'
import { pattern } from './spilling.ts'

/** Sizes that are small enough for every edge to be met often. */
const shape = fc.record({
  memoryBytes: fc.integer({ min: 2, max: 64 }),
  maxBytes: fc.integer({ min: 0, max: 200 }),
  segmentBytes: fc.integer({ min: 1, max: 50 }),
  recordBytes: fc.integer({ min: 1, max: 20 }),
  pieces: fc.array(fc.integer({ min: 0, max: 80 }), { maxLength: 12 }),
  early: fc.boolean(),
  /** Which writes fail, by their number. */
  failing: fc.uniqueArray(fc.nat({ max: 40 }), { maxLength: 20 }),
  mostBytes: fc.integer({ min: 1, max: 30 }),
})

test('whatever the speeds, the bounds and the failures: the same bytes, in order, and nothing over a bound', async () => {
  const seen = { spilled: 0, failed: 0, waited: 0 }
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), shape, async (schedule, { pieces, early, failing, mostBytes, ...sizes }) => {
      const memory = new MemoryDisk()
      const disk = new OddDisk(memory)
      disk.mostBytes = mostBytes
      let writes = 0
      disk.before = async (call) => {
        await schedule.schedule(Promise.resolve(), call)
        if (call !== 'writev' || !failing.includes(writes++)) return
        seen.failed += 1
        throw systemError('ENOSPC')
      }
      const { memoryBytes, ...place } = sizes
      const spill = new Spill({
        memoryBytes,
        disk: { directory: '/nowhere', ...place },
        random: () => Buffer.alloc(16),
        nowMs: () => 0,
        system: disk,
        onChange: ({ producerWaitingSinceMs }) => {
          if (producerWaitingSinceMs !== undefined) seen.waited += 1
        },
      })
      spill.spillEarly(early)
      const content = pattern(pieces.reduce((sum, bytes) => sum + bytes, 0))
      const source = async function* (): AsyncGenerator<Buffer> {
        let at = 0
        for (const bytes of pieces) {
          await schedule.schedule(Promise.resolve(), 'source')
          yield content.subarray(at, at + bytes)
          at += bytes
        }
      }
      const arrived: Buffer[] = []
      const consume = async (): Promise<void> => {
        for await (const piece of decoupled(source(), spill)) {
          arrived.push(piece)
          const { memoryBytes: inMemory, diskBytes, bytesIn, bytesOut } = spill.state
          expect(inMemory).toBeLessThanOrEqual(memoryBytes)
          expect(diskBytes).toBeLessThanOrEqual(place.maxBytes)
          expect(bytesIn - bytesOut).toBeLessThanOrEqual(memoryBytes + place.maxBytes)
          await schedule.schedule(Promise.resolve(), 'consumer')
        }
      }

      await schedule.waitFor(consume())

      const { peakMemoryBytes, peakDiskBytes } = spill.state
      if (peakDiskBytes > 0) seen.spilled += 1
      expect(Buffer.concat(arrived).equals(content)).toBe(true)
      expect(peakMemoryBytes).toBeLessThanOrEqual(memoryBytes)
      expect(peakDiskBytes).toBeLessThanOrEqual(place.maxBytes)
      expect({ open: memory.openFiles, used: memory.usedBytes }).toEqual({ open: 0, used: 0 })
    }),
    { seed: 20240229, numRuns: 250 },
  )
  // A property that never meets what it is about proves nothing.
  expect(Object.entries(seen).filter(([, times]) => times < 50)).toEqual([])
})

test('wherever it is aborted, the consumer gets the reason, the source stops, and nothing stays open', async () => {
  const reason = new Error('enough')
  let early = 0
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), shape, fc.nat({ max: 120 }), async (schedule, one, stepsUntilAbort) => {
      const { pieces, early: spillsEarly, failing, mostBytes, memoryBytes, ...place } = one
      const memory = new MemoryDisk()
      const disk = new OddDisk(memory)
      const abort = new AbortController()
      let steps = 0
      const step = async (label: string): Promise<void> => {
        if (steps++ === stepsUntilAbort) abort.abort(reason)
        await schedule.schedule(Promise.resolve(), label)
      }
      disk.mostBytes = mostBytes
      disk.before = async (call) => {
        await step(call)
        if (call === 'writev' && failing.includes(steps)) throw systemError('EIO')
      }
      const spill = new Spill({
        memoryBytes,
        disk: { directory: '/nowhere', ...place },
        random: () => Buffer.alloc(16),
        nowMs: () => 0,
        system: disk,
      })
      spill.spillEarly(spillsEarly)
      let isSourceOver = false
      const source = async function* (): AsyncGenerator<Buffer> {
        try {
          for (const bytes of pieces) {
            await step('source')
            yield Buffer.alloc(bytes)
          }
        } finally {
          isSourceOver = true
        }
      }
      const consume = async (): Promise<unknown> => {
        try {
          for await (const piece of decoupled(source(), spill, { signal: abort.signal })) await step(`${piece.length}`)
          return 'everything arrived'
        } catch (error) {
          return error
        }
      }

      const outcome = await schedule.waitFor(consume())
      await schedule.waitIdle()
      await spill.close()

      if (outcome === reason) early += 1
      else
        expect([outcome, abort.signal.aborted && spill.state.bytesOut < spill.state.bytesIn]).toEqual([
          'everything arrived',
          false,
        ])
      expect(isSourceOver).toBe(true)
      expect({ open: memory.openFiles, used: memory.usedBytes }).toEqual({ open: 0, used: 0 })
    }),
    { seed: 20240229, numRuns: 200 },
  )
  expect(early).toBeGreaterThan(50)
})
