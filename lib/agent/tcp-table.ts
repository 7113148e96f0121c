/**
 * What the kernel knows of one of our connections: what waits there, and whether the other machine answers.
 *
 *     sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
 *      3: 0100007F:62D4 0100007F:9C40 01 00028000:00000000 01:00000014 00000003     0        0 40113
 *
 * Source: /proc/net/tcp and tcp6, proc(5); `tr` is the timer that runs: 1 retransmits, 4 probes a
 * closed window. Node offers neither TCP_INFO nor TCP_USER_TIMEOUT. Looks only.
 */

import { readFile } from 'node:fs/promises'

export interface TcpState {
  /** Bytes that the system has taken and the peer's has not acknowledged. */
  readonly unacknowledgedBytes: number
  /** Times in a row that something was sent to the peer's machine and it did not answer. */
  readonly unanswered: number
}

const RETRANSMITTING = 1
const PROBING = 4

/** Nothing is waited for where there is no such line, or no such file. */
const NOTHING: TcpState = { unacknowledgedBytes: 0, unanswered: 0 }

export const tcpState = async (localPort?: number, remotePort?: number): Promise<TcpState> => {
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const state = findTcpState(await readFile(file, 'latin1').catch(() => ''), localPort, remotePort)
    if (state !== undefined) return state
  }
  return NOTHING
}

/** The first connection between the two ports in the text of such a file. Numbers there are hexadecimal. */
export const findTcpState = (table: string, localPort = 0, remotePort = 0): TcpState | undefined => {
  const port = (number: number): string => number.toString(16).toUpperCase().padStart(4, '0')
  const line = new RegExp(
    `^ *\\d+: [0-9A-F]+:${port(localPort)} [0-9A-F]+:${port(remotePort)} [0-9A-F]{2} ([0-9A-F]{8}):[0-9A-F]{8} ` +
      '([0-9A-F]{2}):[0-9A-F]{8} ([0-9A-F]{8}) +\\d+ +(\\d+)',
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
