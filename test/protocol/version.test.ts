import { describe, expect, test } from '@jest/globals'

import {
  AGENT_PROTOCOL_VERSION,
  COMPATIBLE_PROTOCOL_VERSION,
  isFramingVersion,
  parseVersion,
  settleVersion,
} from '../../lib/protocol/index.ts'
import { refusalOf } from './cuts.ts'

test('the agent speaks 0.77.0, and a client that met an older one 0.76.1', () => {
  expect([AGENT_PROTOCOL_VERSION, COMPATIBLE_PROTOCOL_VERSION]).toEqual(['0.77.0', '0.76.1'])
})

test.each([
  ['0.4.0', false],
  ['0.76.1', false],
  ['0.76.9999', false],
  ['0.77.0', true],
  ['0.77.1', true],
  ['0.100.0', true],
  ['1.0.0', true],
])('a client of %s may ask for what 0.77 has added: %s', (text, may) => {
  expect(isFramingVersion(parseVersion(text))).toBe(may)
})

test.each([
  ['0.76.1', 0, 76, 1],
  ['0.75.1', 0, 75, 1],
  ['0.0.0', 0, 0, 0],
  ['10.200.3000', 10, 200, 3000],
  ['9007199254740991.0.0', 9_007_199_254_740_991, 0, 0],
])('reads %s as three numbers', (text, major, minor, micro) => {
  expect(parseVersion(text)).toEqual({ text, major, minor, micro })
})

test.each([
  ['two numbers', '76.1'],
  ['two numbers', '0.76'],
  ['one number', '1'],
  ['four numbers', '0.76.1.0'],
  ['a leading zero', '0.076.1'],
  ['a leading zero', '00.76.1'],
  ['a leading zero', '0.76.01'],
  ['letters', '1.8b7_palomino'],
  ['a "v"', 'v0.76.1'],
  ['a "="', '=0.76.1'],
  ['a prerelease', '0.76.1-rc1'],
  ['build data', '0.76.1+7'],
  ['a space before it', ' 0.76.1'],
  ['a space behind it', '0.76.1 '],
  ['a CR behind it', '0.76.1\r'],
  ['a line feed behind it', '0.76.1\n'],
  ['a sign', '0.-76.1'],
  ['a number left out', '0..1'],
  ['a wildcard', '0.76.x'],
  ['digits of another script', '0.7\u0666.1'],
  ['a number that is not exact any more', '9007199254740992.0.0'],
  ['nothing', ''],
])('refuses a version with %s: %j', (_, text) => {
  const refusal = refusalOf(() => parseVersion(text))

  expect(refusal.code).toBe('PROTOCOL_VERSION_INVALID')
  expect(refusal.message).toMatch(/^expected a protocol version of three plain numbers such as 0\.77\.0, found /)
  expect(refusal.hint).toContain('0.77.0')
})

test('a refusal shows what came, escaped and cut', () => {
  const refusal = refusalOf(() => parseVersion(`\u001b[31m${'x'.repeat(500)}`))

  expect(refusal.message).toContain('found "\\x1b[31mxxx')
  expect(refusal.message.length).toBeLessThan(200)
})

test('a pair in the place of the version is not shown: it may be the password', () => {
  expect(refusalOf(() => parseVersion('password=hunter2')).message).not.toContain('hunter2')
})

describe('a client of', () => {
  test.each([
    ['the same version', '0.76.1', '0.76.1'],
    ['an older micro', '0.76.0', '0.76.1'],
    ['a newer micro', '0.76.9', '0.76.1'],
    ['an older minor, whatever its micro', '0.75.99', '0.76.1'],
    ['the oldest minor', '0.0.0', '0.76.1'],
    ['a minor that is smaller as a number, not as text', '1.9.0', '1.10.0'],
    ['the same major above 0', '2.3.4', '2.3.0'],
  ])('%s fits', (_, client, agent) => {
    expect(() => settleVersion(parseVersion(client), parseVersion(agent))).not.toThrow()
  })

  test.each([
    ['a newer minor', '0.77.0', '0.76.1', 'may be at most 76', 'update the agent to protocol 0.77'],
    ['a newer minor by one, with the same micro', '1.11.0', '1.10.0', 'may be at most 10', 'update the agent'],
    ['a minor that is larger as a number only', '1.10.0', '1.9.0', 'may be at most 9', 'update the agent'],
    ['a newer major', '1.0.0', '0.76.1', 'major number must be 0', 'update the agent to protocol 1.0'],
    ['a newer major with an older minor', '1.2.0', '0.76.1', 'major number must be 0', 'update the agent'],
    ['an older major', '0.76.1', '1.0.0', 'major number must be 1', 'update the client to protocol 1.0.0'],
    ['an older major with a newer minor', '0.99.0', '1.2.0', 'major number must be 1', 'update the client'],
  ])('%s is refused, and told what to do', (_, client, agent, rule, hint) => {
    const refusal = refusalOf(() => settleVersion(parseVersion(client), parseVersion(agent)))

    expect(refusal.code).toBe('PROTOCOL_VERSION_INCOMPATIBLE')
    expect(refusal.message).toContain(rule)
    expect(refusal.hint).toContain(hint)
    expect(refusal.facts).toMatchObject({ client, agent })
  })

  test('0.78.0 reads the words of deployed agents, by which clients know that they may fall back', () => {
    const refusal = refusalOf(() => settleVersion(parseVersion('0.78.0')))

    expect(refusal.message).toMatch(/^Incompatible client version 0\.78\.0\. This agent speaks 0\.77\.0: /)
  })

  test('0.77.0 reads the same of an agent of 0.76', () => {
    const refusal = refusalOf(() => settleVersion(parseVersion('0.77.0'), parseVersion('0.76.1')))

    expect(refusal.message).toMatch(/^Incompatible client version 0\.77\.0\. This agent speaks 0\.76\.1: /)
  })
})
