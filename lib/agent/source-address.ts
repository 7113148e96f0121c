/**
 * Which addresses are one source, for whoever counts what comes from where.
 *
 *     192.0.2.7                   192.0.2.7
 *     ::ffff:192.0.2.7            192.0.2.7            the same machine, through a socket of version 6
 *     2001:db8:1:2:aaaa::7        2001:db8:1:2::/64    one network: its owner has every address in it
 *     fe80::1%eth0                fe80:0:0:0::/64
 *
 * Numbers alone: no name is looked up. TCP makes a false source hard: who never gets our answer to its first packet
 * never becomes a connection, so nobody is counted for what somebody else has sent in their name.
 */

import { bytesOfVersion6 } from './tcp-table.ts'

/** Where it is not known any more: the peer was gone before it was looked at. */
const NOBODY = '?'

/** The first half of an address of version 6 names the network, the second one is the host's to choose. Source: RFC 4291, 2.5.4 */
const NETWORK_BYTES = 8

/** @param address as Node's `remoteAddress` */
export const sourceOf = (address: string | undefined): string => {
  if (address === undefined) return NOBODY
  const version4 = /^(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (version4 !== undefined) return version4
  const network = bytesOfVersion6(address).slice(0, NETWORK_BYTES)
  const groups = [0, 2, 4, 6].map((at) => (((network[at] ?? 0) << 8) | (network[at + 1] ?? 0)).toString(16))
  return `${groups.join(':')}::/64`
}
