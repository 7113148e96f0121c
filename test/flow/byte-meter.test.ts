import { expect, test } from '@jest/globals'

import { ByteMeter } from '../../lib/flow/index.ts'

test('says the rate of the last seconds, and sinks to 0 when nothing moves any more', () => {
  let now = 1000
  const meter = new ByteMeter(() => now)

  const rates: number[] = []
  for (let second = 1; second <= 20; second += 1) {
    now += 1000
    if (second <= 10) meter.add(500)
    rates.push(Math.round(meter.rate()))
  }

  expect(meter.bytes).toBe(5000)
  expect(meter.elapsedMs).toBe(20_000)
  expect(rates[9]).toBe(500)
  expect(rates[19]).toBe(0)
})

test('has no rate before any time has passed', () => {
  const meter = new ByteMeter(() => 42)
  meter.add(7)

  expect(meter.rate()).toBe(0)
})
