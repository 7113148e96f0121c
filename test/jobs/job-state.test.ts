import { expect, test } from '@jest/globals'

import { checkStep } from '../../lib/jobs/job-state.ts'
import { isFinal, type JobState } from '../../lib/jobs/index.ts'

const STATES: JobState[] = ['queued', 'starting', 'streaming', 'settling', 'complete', 'failed', 'cancelled']
const WAY: JobState[] = ['queued', 'starting', 'streaming', 'settling', 'complete']

test('a job goes its way step by step, and may fail or be cancelled at each of them', () => {
  for (const [index, state] of WAY.slice(0, -1).entries()) {
    for (const next of [WAY[index + 1] as JobState, 'failed', 'cancelled'] as const) {
      expect(checkStep(state, next)).toBe(next)
    }
  }
})

test('a job never skips settling, where the verdict is', () => {
  for (const state of STATES.filter((one) => one !== 'settling')) {
    expect(() => checkStep(state, 'complete')).toThrow('bug')
  }
})

test('nothing follows a final state', () => {
  const final = STATES.filter(isFinal)

  expect(final).toEqual(['complete', 'failed', 'cancelled'])
  for (const state of final) for (const next of STATES) expect(() => checkStep(state, next)).toThrow('bug')
})
