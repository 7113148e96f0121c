import { expect, test } from '@jest/globals'

import { sourceOf } from '../../lib/agent/source-address.ts'

test.each<[string, string | undefined, string]>([
  ['an address of version 4', '192.0.2.7', '192.0.2.7'],
  ['the same through a socket of version 6', '::ffff:192.0.2.7', '192.0.2.7'],
  ['the same in capitals', '::FFFF:192.0.2.7', '192.0.2.7'],
  ['an address of version 6', '2001:db8:1:2:aaaa:bbbb:cccc:7', '2001:db8:1:2::/64'],
  ['another host of its network', '2001:db8:1:2::1', '2001:db8:1:2::/64'],
  ['the network beside it', '2001:db8:1:3::1', '2001:db8:1:3::/64'],
  ['a network with zeros', '2001:db8::1', '2001:db8:0:0::/64'],
  ['a large group', 'ffff:ffff:ffff:ffff::1', 'ffff:ffff:ffff:ffff::/64'],
  ['an address of one link, with its interface', 'fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['this host', '::1', '0:0:0:0::/64'],
  ['a peer that is gone', undefined, '?'],
])('knows the source of %s', (_, address, source) => {
  expect(sourceOf(address)).toBe(source)
})
