import { expect, test } from '@jest/globals'

import { readTimeoutWishes } from '../../lib/agent/timeout-wishes.ts'

const wishes = (pairs: Readonly<Record<string, string>>) => readTimeoutWishes(new Map(Object.entries(pairs)))

test.each([
  ['8', 8 * 3600],
  ['1', 3600],
  ['3599', 3599 * 3600],
  ['3600', 3600],
  ['7200', 7200],
  ['0', undefined],
  ['', undefined],
])('%j are %j seconds: hours below 3600, seconds from there on', (text, seconds) => {
  expect(wishes({ 'xtrabackup-agent:mysql-wait-timeout': text })).toMatchObject({ wait: seconds, net: undefined })
  expect(wishes({ 'mysql-net-timeout': text })).toMatchObject({ wait: undefined, net: seconds })
})

test('insists only where there is something to insist on', () => {
  expect(wishes({ 'xtrabackup-agent:must-set-mysql-timeouts': '1' })).toMatchObject({ mustSet: false })
  expect(wishes({ 'must-set-mysql-timeouts': '1', 'mysql-wait-timeout': '8' })).toMatchObject({ mustSet: true })
  expect(wishes({ 'must-set-mysql-timeouts': '0', 'mysql-wait-timeout': '8' })).toMatchObject({ mustSet: false })
})

test.each([
  { 'mysql-wait-timeout': '8h' },
  { 'mysql-wait-timeout': '-1' },
  { 'xtrabackup-agent:mysql-net-timeout': '1e9' },
  { 'mysql-net-timeout': '9999999999' },
  { 'must-set-mysql-timeouts': 'yes' },
])('refuses %j', (pairs) => {
  expect(() => wishes(pairs)).toThrow(expect.objectContaining({ code: 'PROTOCOL_VALUE_INVALID' }))
})
