/**
 * The stand-alone door: a listening TCP socket.
 *
 * `allowHalfOpen` is what serves clients that close their half after the request; with
 * Node's default their backup would be cut. Nothing here reads or writes a byte.
 */

import { createServer, type Server, type Socket } from 'node:net'

import { BackupError } from '../errors/index.ts'

export interface ListenerOptions {
  readonly host: string
  /** TCP port; 0 lets the system choose. */
  readonly port: number
  /** Connections at the same time; more are dropped at once. */
  readonly maxConnections: number
  onConnection(socket: Socket): void
  onDropped(): void
  /** Told, and not again for a minute, when the system could not hand over a connection: no descriptors, above all. */
  onTrouble(errno: string): void
}

export interface Listener {
  readonly host: string
  readonly port: number
  /** Takes no new connections; those that are open go on. */
  close(): void
}

/** A peer whose machine vanished is noticed by TCP itself, after this and the system's own probes. */
const KEEP_ALIVE_MS = 30_000

/** @throws BackupError `AGENT_LISTEN` */
export const listen = async (options: ListenerOptions): Promise<Listener> => {
  const { host, port, maxConnections, onConnection, onDropped, onTrouble } = options
  const server = createServer({
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
  })
  server.maxConnections = maxConnections
  server.on('connection', onConnection)
  server.on('drop', onDropped)
  await bind(server, host, port)
  server.on('error', nowAndThen(onTrouble))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('bug: a TCP server without an address')
  return { host: address.address, port: address.port, close: () => server.close() }
}

const bind = (server: Server, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const onError = (cause: NodeJS.ErrnoException): void => {
      const code = cause.code ?? 'unknown'
      reject(
        new BackupError(
          'AGENT_LISTEN',
          `cannot listen on ${host}:${port}: ${WHY[code] ?? code}`,
          { host, port, errno: code },
          { cause },
        ),
      )
    }
    server.once('error', onError)
    server.listen({ host, port }, () => {
      server.off('error', onError)
      resolve()
    })
  })

/** It comes with every try, and the running backup must not end with it: an error that nobody hears ends the process. */
const nowAndThen = (onTrouble: (errno: string) => void): ((cause: NodeJS.ErrnoException) => void) => {
  let quietUntilMs = 0
  return ({ code = 'unknown' }) => {
    const now = performance.now()
    if (now < quietUntilMs) return
    quietUntilMs = now + SAY_AGAIN_MS
    onTrouble(code)
  }
}

const SAY_AGAIN_MS = 60_000

const WHY: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is taken by another program',
  EADDRNOTAVAIL: 'this machine has no such address',
  EACCES: 'not permitted; ports below 1024 need a privilege',
  ENOTFOUND: 'the name is not known',
}
