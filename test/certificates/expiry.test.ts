import { expect, test } from '@jest/globals'

import { daysLeft, expiryWarning } from '../../lib/certificates/index.ts'

const until = Date.parse('2027-03-01T12:00:00Z')
const facts = { names: ['db1'], fromMs: 0, untilMs: until, isAuthority: false, isForServers: true }
const DAY_MS = 86_400_000

test.each([
  ['a month before', 30, undefined],
  ['a moment later', 30 - 1e-6, 'expires in 29 days, on 2027-03-01'],
  ['two days before', 2, 'expires in 2 days, on 2027-03-01'],
  ['a day before', 1.5, 'expires in 1 day, on 2027-03-01'],
  ['an hour before', 1 / 24, 'expires in 0 days, on 2027-03-01'],
  ['at that moment', 0, 'has expired on 2027-03-01'],
  ['a year later', -365, 'has expired on 2027-03-01'],
])('%s it says', (_, daysBefore, warning) => {
  expect(expiryWarning(facts, until - daysBefore * DAY_MS)).toBe(warning)
})

test('days that are left are whole ones', () => {
  expect(daysLeft(facts, until - 1.9 * DAY_MS)).toBe(1)
  expect(daysLeft(facts, until + 1)).toBe(-1)
})
