/**
 * The plainest client there is: sends bytes, keeps what comes back, and says how it ended.
 *
 * It knows nothing of the protocol, so it sees exactly what a deployed client's socket sees.
 */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface Conversation {
  readonly bytes: Buffer
  /** `fin`: the agent closed in order. `reset`: it broke the connection off. */
  readonly ended: 'fin' | 'reset'
}

export interface RawClient {
  readonly socket: Socket
  /** Everything received so far. */
  received(): Buffer
  /** Resolves when at least so many bytes are here, or the connection is over. */
  hasReceived(bytes: number): Promise<void>
  /** Resolves when the agent has ended the connection, either way. */
  ended(): Promise<Conversation>
}

/** @param from an address of this host that it comes from, in place of the usual one */
export const rawClient = async (port: number, host = '127.0.0.1', from?: string): Promise<RawClient> => {
  const socket = connect({ host, port, allowHalfOpen: true, ...(from === undefined ? {} : { localAddress: from }) })
  await once(socket, 'connect')
  const chunks: Buffer[] = []
  let length = 0
  let ended: 'fin' | 'reset' | undefined
  const over = new Promise<void>((resolve) => {
    const end = (how: 'fin' | 'reset') => () => {
      ended ??= how
      socket.destroy()
      resolve()
    }
    // libuv reports a reset that comes together with data as an ordinary end. A byte the other
    // way tells them apart: a connection that was reset does not take it.
    const probe = (): void => {
      if (socket.writableEnded)
        end('fin')() // a client that has closed its half cannot ask
      else socket.write(Buffer.of(0), (error) => end(error ? 'reset' : 'fin')())
    }
    socket.on('end', probe).on('error', end('reset')).on('close', end('reset'))
  })
  const news = new Set<() => void>()
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    length += chunk.length
    for (const tell of news) tell()
  })
  const received = (): Buffer => Buffer.concat(chunks)
  return {
    socket,
    received,
    hasReceived: async (bytes) => {
      await Promise.race([
        over,
        new Promise<void>((resolve) => {
          const look = (): void => {
            if (length >= bytes) resolve()
          }
          news.add(look)
          look()
        }),
      ])
    },
    ended: async () => {
      await over
      return { bytes: received(), ended: ended ?? 'reset' }
    },
  }
}

/** Sends a request in one go and waits for the end. */
export const converse = async (
  port: number,
  request: string | Buffer,
  { halfClose = false, from }: { halfClose?: boolean; from?: string } = {},
): Promise<Conversation> => {
  const client = await rawClient(port, '127.0.0.1', from)
  client.socket.write(request)
  if (halfClose) client.socket.end()
  return client.ended()
}
