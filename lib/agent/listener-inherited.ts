/**
 * Sockets that another program opened for us: xinetd, inetd, systemd.
 *
 *     a connection   descriptor 0 of `inetd`             Node's socket around it
 *     a listener     descriptor 0 of `inetd --wait`, 3 and up of `serve`
 *
 * Only TCP: the end of a failed backup is a reset, and a local socket has none. Nothing
 * here reads or writes a byte.
 */

import { closeSync, openSync } from 'node:fs'
import { Socket } from 'node:net'

import { BackupError } from '../errors/index.ts'
import {
  BACKLOG,
  type ConnectionOptions,
  KEEP_ALIVE_MS,
  type Listener,
  listenerOf,
  makeServer,
  nowAndThen,
} from './listener.ts'
import { checkSocket, socketKind } from './socket-kind.ts'

/** libuv never closes the three standard descriptors; their number must not stay the client's socket all the same. */
const LAST_STANDARD = 2

/**
 * The client on a standard descriptor, where one is connected to it: that tells, without a look at the table of all
 * connections of the host, which may be long.
 *
 * @returns undefined when nobody is: it listens, it is another kind of socket, the client has gone
 * @throws BackupError `AGENT_DESCRIPTOR` when it is no socket
 */
export const clientOn = (descriptor: number): Socket | undefined => {
  if (descriptor > LAST_STANDARD) return undefined // what is only tried there would be closed with the try
  checkSocket(descriptor)
  let socket: Socket
  try {
    socket = socketOn(descriptor)
  } catch {
    return undefined
  }
  if (socket.remoteAddress !== undefined) return madeReady(socket, descriptor)
  socket.on('error', () => {}).destroy()
  return undefined
}

/**
 * The client's socket on a descriptor.
 *
 * @throws BackupError `AGENT_DESCRIPTOR`
 */
export const takeConnection = (descriptor: number): Socket => {
  if (socketKind(descriptor) === 'listening') throw notFit(descriptor, 'a connection', 'a socket that listens')
  let socket: Socket
  try {
    socket = socketOn(descriptor)
  } catch (cause) {
    throw notFit(descriptor, 'a TCP connection', 'a socket of another kind', cause)
  }
  if (socket.localAddress === undefined) {
    socket.on('error', () => {}).destroy()
    throw notFit(descriptor, 'a TCP connection', 'a local socket')
  }
  return madeReady(socket, descriptor)
}

const socketOn = (descriptor: number): Socket =>
  new Socket({ fd: descriptor, readable: true, writable: true, allowHalfOpen: true })

const madeReady = (socket: Socket, descriptor: number): Socket => {
  socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS)
  if (descriptor <= LAST_STANDARD) socket.once('close', () => replaceByNull(descriptor))
  return socket
}

/**
 * Accepts on a socket that listens already.
 *
 * @throws BackupError `AGENT_DESCRIPTOR`
 */
export const listenOnDescriptor = async (descriptor: number, options: ConnectionOptions): Promise<Listener> => {
  if (socketKind(descriptor) === 'connection') throw notFit(descriptor, 'a TCP socket that listens', 'another one')
  const server = makeServer(options)
  await new Promise<void>((resolve, reject) => {
    const onError = (cause: Error): void =>
      reject(notFit(descriptor, 'a socket that listens', 'one that does not', cause))
    server.once('error', onError)
    server.listen({ fd: descriptor, backlog: BACKLOG }, () => {
      server.off('error', onError)
      resolve()
    })
  })
  server.on('error', nowAndThen(options.onTrouble))
  const address = server.address()
  if (address === null || typeof address === 'string') {
    server.close()
    throw notFit(descriptor, 'a TCP socket that listens', 'a local socket')
  }
  return listenerOf(server, address)
}

/** At once: whatever opens a file next would get the number. */
const replaceByNull = (descriptor: number): void => {
  closeSync(descriptor)
  openSync('/dev/null', 'r+')
}

const notFit = (descriptor: number, expected: string, found: string, cause?: unknown): BackupError =>
  new BackupError(
    'AGENT_DESCRIPTOR',
    `expected ${expected} on descriptor ${descriptor}, found ${found}`,
    { descriptor },
    {
      cause,
      hint: 'xinetd: "wait = no" goes with "inetd", "wait = yes" with "inetd --wait"; socket_type = stream, protocol = tcp',
    },
  )
