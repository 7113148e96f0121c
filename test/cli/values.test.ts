import { describe, expect, test } from '@jest/globals'

import { formatBytes, formatSeconds, parseAddress, parseCount, percent } from '../../lib/cli/values.ts'

describe('an address', () => {
  test.each([
    ['127.0.0.1:25300', '127.0.0.1', 25300],
    ['db1.example.net:1', 'db1.example.net', 1],
    ['[::1]:0', '::1', 0],
    ['db1', 'db1', 25300],
    ['[fe80::1%eth0]', 'fe80::1%eth0', 25300],
  ])('is read from %s', (text, host, port) => {
    expect(parseAddress(25300)(text)).toEqual({ host, port })
  })

  test.each(['', ':25300', 'db1:', 'db1:65536', 'db1:x', '::1', 'a:1:2', 'db1:-1'])('is refused: "%s"', (text) => {
    expect(() => parseAddress(25300)(text)).toThrow('HOST:PORT')
  })

  test('needs its port where there is no default', () => {
    expect(() => parseAddress()('db1')).toThrow('HOST:PORT')
  })
})

describe('a number', () => {
  test.each([
    ['bytes', '1048576', 1_048_576],
    ['bytes', '512M', 512 * 1024 ** 2],
    ['bytes', '16g', 16 * 1024 ** 3],
    ['seconds', '30', 30],
  ] as const)('of %s is read from %s', (unit, text, value) => {
    expect(parseCount(unit, 0)(text)).toBe(value)
  })

  test.each([
    ['bytes', '-1'],
    ['bytes', '1.5G'],
    ['bytes', '99999999999999T'],
    ['bytes', '12 M'],
    ['seconds', '30s'],
    ['seconds', '1K'],
    ['seconds', '4'],
    ['seconds', '11'],
  ] as const)('of %s is refused: %s', (unit, text) => {
    expect(() => parseCount(unit, 5, 10)(text)).toThrow(`whole number of ${unit}`)
  })
})

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [1.5 * 1024 ** 3, '1.5 GiB'],
  [5000 * 1024 ** 4, '5000.0 TiB'],
])('%d bytes are shown as %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text)
})

test.each([
  [0.25, '0.3 s'],
  [47.4, '47 s'],
  [185, '3 min 05 s'],
  [7800, '2 h 10 min'],
])('%d seconds are shown as %s', (seconds, text) => {
  expect(formatSeconds(seconds)).toBe(text)
})

test('a share of nothing is all of it', () => {
  expect(percent(0, 0)).toBe('100 %  0 B')
  expect(percent(1024, 3072)).toBe('33 %  1.0 KiB')
})
