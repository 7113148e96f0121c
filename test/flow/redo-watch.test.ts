import { expect, test } from '@jest/globals'

import { RedoWatch } from '../../lib/flow/index.ts'

const MIB = 1024 * 1024

/** Redo log at a steady rate, looked at once a second. */
const after = (seconds: number, bytesPerSecond: number, capacityBytes: number | undefined, isWaiting = false) => {
  let nowMs = 0
  const watch = new RedoWatch(() => nowMs)
  let risk = watch.look(capacityBytes, isWaiting)
  for (let second = 1; second <= seconds; second += 1) {
    nowMs = second * 1000
    watch.copied(bytesPerSecond)
    risk = watch.look(capacityBytes, isWaiting)
  }
  return { watch, risk, advance: (milliseconds: number) => (nowMs += milliseconds) }
}

test('a log that is written around within minutes is near its overrun', () => {
  const { risk } = after(5, 12 * MIB, 96 * MIB)

  expect(risk.bytesPerSecond).toBeCloseTo(12 * MIB)
  expect(risk.graceMs).toBeCloseTo(4000) // half of the log at 12 MiB a second
  expect(risk.isNear).toBe(true)
})

test('a large log, or one that is hardly written, is not', () => {
  expect(after(5, 1 * MIB, 2048 * MIB).risk.isNear).toBe(false)
  expect(after(5, 0, 96 * MIB).risk).toEqual({
    bytesPerSecond: 0,
    graceMs: Number.POSITIVE_INFINITY,
    isNear: false,
  })
})

test('what had been written before the backup began says nothing about the rate of the server', () => {
  expect(after(4, 40 * MIB, 96 * MIB).risk.isNear).toBe(false)
})

test('without a known size there is nothing to say', () => {
  expect(after(5, 12 * MIB, undefined).risk.isNear).toBe(false)
})

test('what is not copied while the program is kept waiting does not make the server slower', () => {
  const { watch, advance } = after(5, 12 * MIB, 96 * MIB)

  advance(10_000)

  expect(watch.look(96 * MIB, true).isNear).toBe(true)
  expect(watch.look(96 * MIB, false).isNear).toBe(false)
})
