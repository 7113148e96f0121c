import { expect, test } from '@jest/globals'

import { isReadableOnTheWay } from '../../lib/client/request-connection.ts'
import { checkToken, tokenPairs } from '../../lib/client/token-pairs.ts'
import { spellToken } from '../../lib/protocol/index.ts'

const TOKEN = spellToken(Buffer.alloc(32, 5))

test.each([
  ['127.0.0.1', false, false],
  ['127.8.9.1', false, false],
  ['::ffff:127.0.0.1', false, false],
  ['::1', false, false],
  ['192.0.2.7', false, true],
  ['1270.0.0.1', false, true],
  ['::ffff:192.0.2.7', false, true],
  ['2001:db8::1', false, true],
  ['192.0.2.7', true, false],
])('a connection to %s, encrypted: %s, is readable on its way: %s', (remoteAddress, encrypted, expected) => {
  const socket = { remoteAddress, ...(encrypted ? { encrypted } : {}) } as Parameters<typeof isReadableOnTheWay>[0]

  expect(isReadableOnTheWay(socket)).toBe(expected)
})

test.each([
  ['within this machine, or encrypted', false, undefined, true],
  ['where others could read it', true, undefined, false],
  ['where others could read it, when told so', true, true, true],
])('a token is sent %s', (_, isReadable, tokenInClear, isSent) => {
  const link = { where: 'db1:25300', isReadableOnTheWay: isReadable }
  const send = () => tokenPairs(link, { token: TOKEN, tokenInClear })

  if (isSent) expect(send()).toEqual([['agent-token', TOKEN]])
  else expect(send).toThrow(expect.objectContaining({ code: 'CLIENT_TOKEN_CLEAR' }))
  expect(tokenPairs(link, {})).toEqual([])
})

test('what is wrong with a token is said without it', () => {
  const mistyped = TOKEN.replace(/.$/, (last) => (last === 'a' ? 'b' : 'a'))

  expect(() => checkToken({ token: mistyped })).toThrow(
    expect.objectContaining({ code: 'CLIENT_TOKEN', message: expect.not.stringContaining(mistyped.slice(4, 20)) }),
  )
})
