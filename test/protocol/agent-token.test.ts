import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'

import { spellToken, TOKEN_BYTES, tokenProblem } from '../../lib/protocol/index.ts'

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

test('a token is its prefix, 256 random bits and a checksum, in letters and digits alone', () => {
  expect(spellToken(Buffer.alloc(TOKEN_BYTES))).toMatch(/^kvb_0{43}[0-9A-Za-z]{6}$/)
  expect(spellToken(randomBytes(TOKEN_BYTES))).toMatch(/^kvb_[0-9A-Za-z]{49}$/)
})

test('the checksum is the CRC-32 of zlib, in digits of base 62', () => {
  const inBase62 = (text: string): number => [...text].reduce((sum, digit) => sum * 62 + DIGITS.indexOf(digit), 0)

  for (let time = 0; time < 200; time += 1) {
    const token = spellToken(randomBytes(TOKEN_BYTES))

    expect(inBase62(token.slice(-6))).toBe(crc32(token.slice(0, -6)))
  }
})

test('two tokens are the same only when their random bits are', () => {
  const bytes = fc.uint8Array({ minLength: TOKEN_BYTES, maxLength: TOKEN_BYTES })
  fc.assert(
    fc.property(bytes, bytes, (one, other) => {
      const isSame = Buffer.compare(Buffer.from(one), Buffer.from(other)) === 0
      expect(spellToken(Buffer.from(one)) === spellToken(Buffer.from(other))).toBe(isSame)
    }),
  )
  expect(spellToken(Buffer.alloc(TOKEN_BYTES, 0xff))).toHaveLength(spellToken(Buffer.alloc(TOKEN_BYTES)).length)
})

test('one mistyped character, wherever it is, is found without asking anybody', () => {
  const token = spellToken(randomBytes(TOKEN_BYTES))

  expect(tokenProblem(token)).toBeUndefined()
  for (let at = 0; at < token.length; at += 1) {
    for (const digit of DIGITS) {
      if (digit === token[at]) continue
      expect(tokenProblem(token.slice(0, at) + digit + token.slice(at + 1))).toBeDefined()
    }
  }
})

test.each([
  ['nothing', '', /does not begin with kvb_/],
  ['a password', 'correct horse', /does not begin with kvb_/],
  ['one that was cut', spellToken(Buffer.alloc(32, 7)).slice(0, -1), /found 48 characters/],
  ['one with a blank behind it', `${spellToken(Buffer.alloc(32, 7))} `, /found 50 characters/],
  ['two neighbours that changed places', swapped(spellToken(Buffer.alloc(32, 7))), /checksum/],
])('%s is no token, and is not shown', (_, text, problem) => {
  expect(tokenProblem(text)).toMatch(problem)
  expect(tokenProblem(text)).not.toContain(text.slice(4) || 'kvb_x')
})

function swapped(token: string): string {
  const at = [...token].findIndex((character, index) => index > 4 && character !== token[index + 1])
  return token.slice(0, at) + token[at + 1] + token[at] + token.slice(at + 2)
}
