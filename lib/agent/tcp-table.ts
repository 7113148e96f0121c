/**
 * What the kernel knows of one of our connections: what waits there, and whether the other machine answers.
 *
 *     sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
 *      3: 0100007F:62D4 0100007F:9C40 01 00028000:00000000 01:00000014 00000003     0        0 40113
 *
 * Source: /proc/net/tcp and tcp6, proc(5); `tr` is the timer that runs: 1 retransmits, 4 probes a
 * closed window. Node offers neither TCP_INFO nor TCP_USER_TIMEOUT. Looks only.
 */

import { readFile } from 'node:fs'
import type { Socket } from 'node:net'
import { promisify } from 'node:util'

export interface TcpState {
  /** Bytes that the system has taken and the peer's has not acknowledged. */
  readonly unacknowledgedBytes: number
  /** Times in a row that something was sent to the peer's machine and it did not answer. */
  readonly unanswered: number
}

const RETRANSMITTING = 1
const PROBING = 4

/** The two ends of a connection, as a socket of Node knows them. */
export type Ends = Pick<Socket, 'localAddress' | 'localPort' | 'remoteAddress' | 'remotePort'>

/** @returns undefined where there is no such file, or no such line: a table that changes while it is read may lack one */
export const tcpState = async (ends: Ends): Promise<TcpState | undefined> => {
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const state = findTcpState(await readTable(file), ends)
    if (state !== undefined) return state
  }
  return undefined
}

/** Not by `node:fs/promises`: whoever listens loads this file, and looks later, if at all. */
const readTable = (file: string): Promise<string> => promisify(readFile)(file, 'latin1').catch(() => '')

/** The connection between the two ends in the text of such a file. Numbers there are hexadecimal. */
export const findTcpState = (table: string, ends: Ends): TcpState | undefined => {
  const [local, remote] = [endOf(ends.localAddress, ends.localPort), endOf(ends.remoteAddress, ends.remotePort)]
  const line = new RegExp(
    `^ *\\d+: ${local} ${remote} [0-9A-F]{2} ([0-9A-F]{8}):[0-9A-F]{8} ([0-9A-F]{2}):[0-9A-F]{8} ([0-9A-F]{8}) +\\d+ +(\\d+)`,
    'm',
  ).exec(table)
  if (line === null) return undefined
  const [, queued = '0', timer = '0', retransmits = '0', probes = '0'] = line
  const kind = Number.parseInt(timer, 16)
  return {
    unacknowledgedBytes: Number.parseInt(queued, 16),
    unanswered:
      kind === RETRANSMITTING ? Number.parseInt(retransmits, 16) : kind === PROBING ? Number.parseInt(probes, 10) : 0,
  }
}

/**
 * How many connections wait to be accepted at a listening socket, in the text of such a file.
 *
 * Of a socket that listens the column `rx_queue` is that. Source: get_tcp4_sock in the kernel's net/ipv4/tcp_ipv4.c.
 */
export const findBacklog = (table: string, address: string, port: number): number | undefined => {
  const line = new RegExp(`^ *\\d+: ${endOf(address, port)} [0-9A-F]+:0000 0A [0-9A-F]{8}:([0-9A-F]{8}) `, 'm').exec(
    table,
  )
  return line?.[1] === undefined ? undefined : Number.parseInt(line[1], 16)
}

/** The same for this host now. 0 where the system does not tell. */
export const acceptBacklog = async (address: string, port: number): Promise<number> => {
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const backlog = findBacklog(await readTable(file), address, port)
    if (backlog !== undefined) return backlog
  }
  return 0
}

/** A pattern: an address of version 4 stands in `tcp` by itself, and in `tcp6` with its prefix (RFC 4291, 2.5.5.2). */
const endOf = (address = '', port = 0): string => {
  const portDigits = port.toString(16).toUpperCase().padStart(4, '0')
  const [, version4] = /^(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? []
  if (version4 !== undefined) {
    return `(?:0000000000000000FFFF0000)?${inWords(version4.split('.').map(Number))}:${portDigits}`
  }
  return `${inWords(bytesOfVersion6(address))}:${portDigits}`
}

/** Each four bytes are one number in the byte order of the host, which is little-endian wherever Node runs. */
const inWords = (bytes: readonly number[]): string => {
  const hex = bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, '0'))
  let words = ''
  for (let at = 0; at < hex.length; at += 4)
    words += hex
      .slice(at, at + 4)
      .reverse()
      .join('')
  return words
}

/** `fe80::1%eth0` -> 16 bytes. */
export const bytesOfVersion6 = (address: string): number[] => {
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::')
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
  const [before, after] = [groups(head), groups(tail ?? '')]
  const zeros = Array<number>(Math.max(8 - before.length - after.length, 0)).fill(0)
  return [...before, ...zeros, ...after].flatMap((group) => [group >> 8, group & 0xff])
}
