/**
 * Opens the connection to an agent, within a time, and until told otherwise.
 *
 * The only file of the client that calls `connect`. Nothing here reads or writes a byte.
 */

import { connect, type Socket } from 'node:net'

import { BackupError } from '../errors/index.ts'
import { runsOutAfter } from './patience.ts'

export type { Socket } from 'node:net'

export interface DialOptions {
  readonly host: string
  readonly port: number
  /** How long connecting may take. */
  readonly connectMs: number
  readonly signal: AbortSignal
  /** Keep our half open when the agent closes its own; off by default. */
  readonly keepHalfOpen?: boolean
}

/** A peer whose machine vanished is noticed by TCP itself, after this and the system's own probes. */
const KEEP_ALIVE_MS = 30_000

/** @throws BackupError `CLIENT_CONNECT`, or the reason of the signal */
export const dial = ({ host, port, connectMs, signal, keepHalfOpen = false }: DialOptions): Promise<Socket> =>
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
      settle()
      resolve(socket)
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
