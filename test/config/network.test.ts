import { BlockList, isIP } from 'node:net'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'

import { isInNetwork, type Network, readIpAddress, readNetwork } from '../../lib/config/index.ts'

const network = (text: string): Network => {
  const reading = readNetwork(text)
  if ('problem' in reading) throw new Error(reading.problem)
  return reading.value
}
const isIn = (address: string, text: string): boolean => {
  const read = readIpAddress(address)
  return read !== undefined && isInNetwork(read, network(text))
}

test.each([
  ['192.0.2.7', '192.0.2.0/24', true],
  ['192.0.3.7', '192.0.2.0/24', false],
  ['192.0.2.7', '192.0.2.7', true],
  ['192.0.2.8', '192.0.2.7', false],
  ['192.0.2.7', '0.0.0.0/0', true],
  ['::ffff:192.0.2.7', '192.0.2.0/24', true],
  ['::ffff:c000:207', '192.0.2.0/24', true],
  ['192.0.2.7', '::ffff:192.0.2.0/120', true],
  ['::ffff:192.0.2.7', '::/0', false],
  ['192.0.2.7', '::/0', false],
  ['2001:db8::1', '0.0.0.0/0', false],
  ['2001:db8:0:1::1', '2001:db8::/32', true],
  ['2001:db9::1', '2001:db8::/32', false],
  ['fe80::1%eth0', 'fe80::/10', true],
  ['::1', '::1', true],
  ['', '0.0.0.0/0', false],
  ['?', '0.0.0.0/0', false],
  ['localhost', '127.0.0.0/8', false],
])('of %s and %s it says %s', (address, text, expected) => {
  expect(isIn(address, text)).toBe(expected)
})

test.each([
  ['a name', 'backup1.example.org'],
  ['nothing', ''],
  ['three numbers', '192.0.2'],
  ['a leading zero, which some read as octal', '192.0.02.1'],
  ['a number too large', '192.0.2.256'],
  ['too many bits', '192.0.2.0/33'],
  ['too many bits of six', '2001:db8::/129'],
  ['a prefix with a sign', '192.0.2.0/+24'],
  ['an address inside of the network', '192.0.2.7/24'],
  ['two gaps', '2001::db8::1'],
  ['nine groups', '1:2:3:4:5:6:7:8:9'],
  ['a gap for nothing', '1:2:3:4::5:6:7:8'],
  ['an interface', 'fe80::1%eth0'],
  ['blanks', ' 192.0.2.0/24'],
  ['fewer bits than a mapped address has in front', '::ffff:192.0.2.0/64'],
])('%s is no network', (_, text) => {
  expect(readNetwork(text)).toHaveProperty('problem', expect.stringMatching(/^expected /))
})

test('it agrees with Node about every address and network of one family', () => {
  const pair = fc.oneof(
    fc.tuple(fc.ipV4(), fc.ipV4(), fc.nat(32), fc.constant('ipv4' as const)),
    fc.tuple(fc.ipV6(), fc.ipV6(), fc.nat(128), fc.constant('ipv6' as const)),
  )
  fc.assert(
    fc.property(pair, fc.boolean(), ([one, base, prefixBits, family], isNear) => {
      const mapped = [one, base].some((text) => readIpAddress(text)?.family === 4 && family === 'ipv6')
      fc.pre(!mapped)
      // Near the network as often as not: two random addresses share no bits.
      const address = isNear ? base : one
      const list = new BlockList()
      list.addSubnet(base, prefixBits, family)
      const first = readIpAddress(base)
      const masked = first === undefined ? undefined : { ...first, prefixBits }
      expect(isIP(address)).not.toBe(0)
      expect(masked === undefined ? undefined : isInNetwork(readIpAddress(address) as Network, masked)).toBe(
        list.check(address, family),
      )
    }),
    { numRuns: 2000 },
  )
})
