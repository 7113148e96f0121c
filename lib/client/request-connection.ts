/**
 * Opens the connection to an agent, within a time, and until told otherwise; over TLS where that is wanted.
 *
 * The only file of the client that calls `connect`. Nothing here reads or writes a byte.
 */

import { connect, type OnReadOpts, type Socket } from 'node:net'

import { BackupError } from '../errors/index.ts'
import { runsOutAfter } from './patience.ts'
import type { TlsOptions } from './request-secure.ts'

export type { Socket } from 'node:net'

export interface DialOptions {
  readonly host: string
  readonly port: number
  /** Left out: in clear. */
  readonly tls?: TlsOptions | undefined
  /** How long connecting may take, with the handshake. */
  readonly connectMs: number
  readonly signal: AbortSignal
  /** Keep our half open when the agent closes its own; off by default. */
  readonly keepHalfOpen?: boolean
  /** Reads the socket in another way than Node does by itself; not over TLS. */
  readonly onread?: OnReadOpts
}

/** A peer whose machine vanished is noticed by TCP itself, after this and the system's own probes. */
const KEEP_ALIVE_MS = 30_000

/** @throws BackupError `CLIENT_CONNECT`, `CLIENT_TLS_*`, or the reason of the signal */
export const dial = async (options: DialOptions): Promise<Socket> => {
  const { tls, host } = options
  if (tls === undefined) return open(options)
  const { readSecrets, secured } = await import('./request-secure.ts') // whoever speaks no TLS does not load it
  const secrets = await readSecrets(tls, host, Date.now())
  return open(options, (raw, where) => secured(raw, secrets, where))
}

/** @param secure what becomes of a connection before it is handed on */
const open = (
  { host, port, connectMs, signal, keepHalfOpen = false, onread }: DialOptions,
  secure: (raw: Socket, where: string) => Promise<Socket> = async (raw) => raw,
): Promise<Socket> =>
  new Promise((resolve, reject) => {
    if (signal.aborted) return reject(interrupted(signal))
    const where = `${host}:${port}`
    const socket = connect({
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
      allowHalfOpen: keepHalfOpen,
      ...(onread === undefined ? {} : { onread }),
    })
    const settle = (): void => {
      answered()
      signal.removeEventListener('abort', onAbort)
      socket.off('error', onError)
    }
    const fail = (error: BackupError): void => {
      settle()
      socket.on('error', () => undefined) // a late one has no listener any more
      socket.destroy()
      reject(error)
    }
    const onAbort = (): void => fail(interrupted(signal))
    const onError = (cause: NodeJS.ErrnoException): void =>
      fail(
        new BackupError(
          'CLIENT_CONNECT',
          `cannot connect to ${where}: ${cause.code ?? cause.message}`,
          { host, port },
          { cause, hint: 'is the agent running, and listening on that address?' },
        ),
      )
    const answered = runsOutAfter(connectMs, () =>
      fail(new BackupError('CLIENT_CONNECT', `no answer from ${where} within ${connectMs / 1000} s`, { host, port })),
    )
    signal.addEventListener('abort', onAbort)
    socket.once('error', onError)
    socket.once('connect', () => {
      socket.off('error', onError)
      socket.on('error', () => undefined) // whoever uses it is told; over TLS that is the socket above
      secure(socket, where).then((ready) => {
        settle()
        resolve(ready)
      }, fail)
    })
  })

/** Encrypted, or within this machine, as through a tunnel that begins here: nobody reads it on its way. */
export const isReadableOnTheWay = (socket: Socket): boolean => {
  const isEncrypted = 'encrypted' in socket && socket.encrypted === true
  return !isEncrypted && !LOOPBACK.test(socket.remoteAddress ?? '')
}

const LOOPBACK = /^(?:(?:::ffff:)?127(?:\.\d{1,3}){3}|::1)$/

/** What an abort means: the caller's own reason if it is one of ours. */
export const interrupted = (signal: AbortSignal): BackupError =>
  signal.reason instanceof BackupError ? signal.reason : new BackupError('CLIENT_INTERRUPTED', 'interrupted')
