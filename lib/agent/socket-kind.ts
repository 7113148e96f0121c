/**
 * What kind of socket a descriptor is, that another program opened for us.
 *
 *     fstat: a socket? its inode ─▶ /proc/net/tcp, tcp6: the line of that inode ─▶ st 0A listens, else a connection
 *
 * Node has no getsockopt. Source: /proc/net/tcp, proc(5); the states are those of the kernel's
 * tcp_states.h. Looks only.
 */

import { fstatSync, readFileSync } from 'node:fs'

import { BackupError } from '../errors/index.ts'

export type SocketKind = 'connection' | 'listening'

const LISTEN = '0A'

/**
 * @returns `connection` also where the system does not tell: using it will
 * @throws BackupError `AGENT_DESCRIPTOR` when it is no socket
 */
export const socketKind = (descriptor: number): SocketKind => {
  const inode = socketInode(descriptor)
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const state = findState(read(file), inode)
    if (state !== undefined) return state === LISTEN ? 'listening' : 'connection'
  }
  return 'connection'
}

/** The column `st` of the socket with this inode, in the text of such a file. */
export const findState = (table: string, inode: number): string | undefined =>
  new RegExp(
    String.raw`^ *\d+: [0-9A-F]+:[0-9A-F]{4} [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) \S+ \S+ \S+ +\d+ +\d+ ${inode} `,
    'm',
  ).exec(table)?.[1]

/** @throws BackupError `AGENT_DESCRIPTOR` when it is no socket */
export const checkSocket = (descriptor: number): void => void socketInode(descriptor)

const socketInode = (descriptor: number): number => {
  let found = 'a closed descriptor'
  try {
    const stat = fstatSync(descriptor)
    if (stat.isSocket()) return stat.ino
    found = stat.isFIFO() ? 'a pipe' : stat.isCharacterDevice() ? 'a terminal or device' : 'a file'
  } catch {
    // closed, which is as little of a socket
  }
  throw new BackupError(
    'AGENT_DESCRIPTOR',
    `expected a socket on descriptor ${descriptor}, found ${found}`,
    { descriptor },
    { hint: 'xinetd, inetd or systemd start this command; by hand it is "backup-agent serve"' },
  )
}

const read = (file: string): string => {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}
