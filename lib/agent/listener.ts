/**
 * The stand-alone door: a listening TCP socket.
 *
 * `allowHalfOpen` is what serves clients that close their half after the request; with
 * Node's default their backup would be cut. Nothing here reads or writes a byte.
 */

import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'

import { BackupError } from '../errors/index.ts'
import { acceptBacklog } from './tcp-table.ts'

export interface ListenerOptions {
  readonly host: string
  /** TCP port; 0 lets the system choose. */
  readonly port: number
  /** Connections at the same time; more are dropped at once, unseen. */
  readonly maxConnections: number
  onConnection(socket: Socket): void
  /** @param address of the peer, where it is known */
  onDropped(address: string | undefined): void
  /** Told, and not again for a minute, when the system could not hand over a connection: no descriptors, above all. */
  onTrouble(errno: string): void
}

export interface Listener {
  readonly host: string
  readonly port: number
  /** False when it was closed, or somebody has waited to be accepted since it was asked last. */
  isAccepting(): Promise<boolean>
  /** More connections than that are dropped from now on. */
  limitTo(maxConnections: number): void
  /** Takes no new connections; those that are open go on. */
  close(): void
}

/** A peer whose machine vanished is noticed by TCP itself, after this and the system's own probes. */
export const KEEP_ALIVE_MS = 30_000

/**
 * How many connections the system holds for us that nobody has looked at. Who comes when there are more is not answered
 * and tries again after one second, then three: a real client would wait for a crowd that came in one moment.
 * Never more than net.core.somaxconn, 4096 since Linux 5.4.
 */
export const BACKLOG = 1024

/** What becomes of connections, whoever opened the socket they come from. */
export type ConnectionOptions = Omit<ListenerOptions, 'host' | 'port'>

/** Makes connections ready; listens nowhere yet. */
export const makeServer = ({ maxConnections, onConnection, onDropped }: ConnectionOptions): Server => {
  const server = createServer({
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
  })
  server.maxConnections = maxConnections
  return server.on('connection', onConnection).on('drop', (peer) => onDropped(peer?.remoteAddress))
}

/** @throws BackupError `AGENT_LISTEN` */
export const listen = async (options: ListenerOptions): Promise<Listener> => {
  const { host, port } = options
  const server = makeServer(options)
  await bind(server, host, port)
  server.on('error', nowAndThen(options.onTrouble))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('bug: a TCP server without an address')
  return listenerOf(server, address)
}

/** @param backlogOf how many wait to be accepted there */
export const listenerOf = (
  server: Server,
  { address, port }: AddressInfo,
  backlogOf: typeof acceptBacklog = acceptBacklog,
): Listener => {
  let waited = 0
  let came = 0
  const count = (): void => {
    came += 1
  }
  server.on('connection', count).on('drop', count)
  return {
    host: address,
    port,
    isAccepting: async () => {
      // In a flood somebody waits whenever it is looked; that is no reason to start a new agent.
      const [before, hasAccepted] = [waited, came > 0]
      came = 0
      waited = await backlogOf(address, port)
      return server.listening && (before === 0 || waited === 0 || hasAccepted)
    },
    limitTo: (maxConnections) => {
      server.maxConnections = maxConnections
    },
    close: () => server.close(),
  }
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
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.off('error', onError)
      resolve()
    })
  })

/** It comes with every try, and the running backup must not end with it: an error that nobody hears ends the process. */
export const nowAndThen = (onTrouble: (errno: string) => void): ((cause: NodeJS.ErrnoException) => void) => {
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
