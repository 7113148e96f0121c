/**
 * Networks of addresses, as numbers: `192.0.2.0/24`, `2001:db8::/32`, `192.0.2.7`.
 *
 *     ::ffff:192.0.2.7    what a socket for both families calls 192.0.2.7: the same address here
 *     fe80::1%eth0        the interface is left out
 *
 * No name is ever looked up: whoever answers for a name would decide who may ask. An address of
 * one family is in no network of the other, `::/0` included. Pure.
 */

import type { Reading } from './value-forms.ts'

export interface IpAddress {
  readonly family: 4 | 6
  readonly value: bigint
}

export interface Network extends IpAddress {
  /** Bits that count, from the front. */
  readonly prefixBits: number
}

const BITS = { 4: 32, 6: 128 } as const
/** `::ffff:0:0/96` */
const MAPPED = 0xffffn
const EXAMPLES = 'as in 192.0.2.0/24, 2001:db8::/32 or 192.0.2.7'

/** @returns undefined for anything that is no numeric address */
export const readIpAddress = (text: string): IpAddress | undefined => {
  const four = ipv4(text)
  if (four !== undefined) return { family: 4, value: four }
  const six = ipv6(text.replace(/%[\w.-]+$/, ''))
  if (six === undefined) return undefined
  return six >> 32n === MAPPED ? { family: 4, value: six & 0xffffffffn } : { family: 6, value: six }
}

export const readNetwork = (text: string): Reading<Network> => {
  const [, addressText = '', prefixText] = /^([^/%]+)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text) ?? []
  const address = readIpAddress(addressText)
  if (address === undefined) return { problem: `expected numeric addresses, ${EXAMPLES}` }
  // Of a mapped one the prefix counts the 96 bits in front of it.
  const isMapped = address.family === 4 && addressText.includes(':')
  const prefixBits = prefixText === undefined ? BITS[address.family] : Number(prefixText) - (isMapped ? 96 : 0)
  if (prefixBits < 0 || prefixBits > BITS[address.family]) {
    return { problem: `expected at most ${BITS[address.family]} bits behind the /, ${EXAMPLES}` }
  }
  const network = { ...address, prefixBits }
  if (front(network, prefixBits) << rest(network) !== address.value) {
    return { problem: `expected the first address of a network before the /, ${EXAMPLES}` }
  }
  return { value: network }
}

export const isInNetwork = (address: IpAddress, network: Network): boolean =>
  address.family === network.family && front(address, network.prefixBits) === front(network, network.prefixBits)

/** One spelling for each network, to find what is there twice. */
export const networkKey = ({ family, value, prefixBits }: Network): string => `${family} ${value} ${prefixBits}`

const rest = ({ family, prefixBits }: Network): bigint => BigInt(BITS[family] - prefixBits)

const front = ({ family, value }: IpAddress, bits: number): bigint => value >> BigInt(BITS[family] - bits)

/** Four numbers without leading zeros: some programs take those for octal. */
const ipv4 = (text: string): bigint | undefined => {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) {
    return undefined
  }
  return parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n)
}

/** Source: RFC 4291, section 2.2. */
const ipv6 = (text: string): bigint | undefined => {
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text)
  const four = tail === null ? undefined : ipv4(tail[2] ?? '')
  if (tail !== null && four === undefined) return undefined
  const plain = four === undefined ? text : `${tail?.[1]}${(four >> 16n).toString(16)}:${(four & 0xffffn).toString(16)}`
  const halves = plain.split('::').map((half) => (half === '' ? [] : half.split(':')))
  const [front = [], back = []] = halves
  const groups = front.length + back.length
  if (halves.length > 2 || (halves.length === 2 ? groups > 7 : groups !== 8)) return undefined
  const all = [...front, ...Array.from({ length: 8 - groups }, () => '0'), ...back]
  if (!all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined
  return all.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n)
}
