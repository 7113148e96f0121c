/**
 * What a connection is before anything is read of it: over TLS, in clear and allowed to be, or refused.
 *
 *     raw ─┬▶ TLS is configured ─┬▶ first byte 0x16 ─▶ handshake ─┬▶ a channel
 *          │                     │                                └▶ no certificate that is trusted: told, over TLS
 *          │                     └▶ another one ─▶ told in clear how to ask
 *          └▶ it is not ─┬▶ from this host, or decided so ─▶ a channel
 *                        └▶ from elsewhere ─▶ told in clear
 *
 * All that happens here lies within the deadline of the request, and nothing of the request is read. Whether the
 * socket comes from a listener, inetd or systemd makes no difference. Rules: PROTOCOL.md, "TLS".
 */

import type { Socket } from 'node:net'

import { type AgentSettings, isLoopback } from '../config/index.ts'
import { BackupError } from '../errors/index.ts'
import type { Logger } from '../log/index.ts'
import type { Visitor } from './connection-gate.ts'
import type { SecureDoor } from './secure-door.ts'
import { refuse } from './send.ts'

/** A connection with its two faces. Without TLS they are one. */
export interface Channel {
  /** To be read from and written to. */
  readonly socket: Socket
  /** The connection as the system knows it: what was acknowledged, and how it is broken off. */
  readonly raw: Socket
  /** Of the peer, as a number: `192.0.2.7`, also where the system shows it as one of version 6. */
  readonly address: string
  /** Common name and DNS names of a certificate that the client has shown and that is trusted. */
  readonly certificateNames: readonly string[]
  readonly isSecure: boolean
}

/** How connections come in, by the settings. */
export interface Security {
  readonly door: SecureDoor | undefined
  /** Whether others than this host are served in clear. */
  readonly isInsecure: boolean
}

/** @throws BackupError `AGENT_TLS_*` */
export const openSecurity = async (
  { tls, insecure = false }: Partial<AgentSettings>,
  log: Logger,
): Promise<Security> => {
  if (tls === undefined) return { door: undefined, isInsecure: insecure }
  const { SecureDoor } = await import('./secure-door.ts') // who has no certificate loads none of Node's TLS
  return { door: await SecureDoor.open(tls, log), isInsecure: insecure }
}

export interface SecureOptions {
  /** For the whole of it, and the request that follows: milliseconds. */
  readonly deadlineMs: number
  /** Aborts when the agent ends and waits for nobody any more. */
  readonly hurry: AbortSignal
  readonly visitor: Visitor
  readonly log: Logger
}

/** The first byte of a TLS record that holds a handshake. Source: RFC 8446, 5.1. */
export const HANDSHAKE_RECORD = 0x16

/** @returns undefined when the connection is over: refused, broken off or gone. Never rejects */
export const secure = async (raw: Socket, security: Security, options: SecureOptions): Promise<Channel | undefined> => {
  const { door, isInsecure } = security
  raw.on('error', () => undefined) // what it was is in `close`
  const address = addressOf(raw)
  if (door === undefined) {
    if (isInsecure || isLoopback(raw.localAddress ?? '')) {
      return { socket: raw, raw, address, certificateNames: [], isSecure: false }
    }
    await refuseUnread(raw, insecure(), options)
    return undefined
  }
  const ended = endedBy(raw, options)
  try {
    const server = await door.current()
    const first = await firstByte(raw)
    if (first === undefined) throw new BackupError('JOB_CLIENT_GONE', 'the client went away before its request')
    if (first !== HANDSHAKE_RECORD) {
      await refuseUnread(raw, tlsRequired(), options)
      return undefined
    }
    const { socket, certificateNames, refused, protocol } = await server.handshake(raw)
    options.log.debug({ protocol, certificate: certificateNames }, 'secure')
    if (refused === undefined) return { socket, raw, address, certificateNames, isSecure: true }
    await refuseUnread(socket, refused, options)
    return undefined
  } catch (cause) {
    const error = ended.reason ?? cause
    if (error instanceof BackupError) say(error, options)
    else options.log.error({ err: error }, 'bug in making a connection secure')
    raw.destroy() // it is no partner to be told anything
    return undefined
  } finally {
    ended.forget()
  }
}

/** Says no before the request is read; what comes of it is thrown away, so that it does not turn our FIN into a reset. */
const refuseUnread = async (socket: Socket, error: BackupError, options: SecureOptions): Promise<void> => {
  say(error, options)
  socket.resume()
  const told = refuse(socket, error, undefined)
  options.visitor.left(socket)
  await told
}

const say = ({ code, message, facts }: BackupError, { visitor, log }: SecureOptions): void => {
  if (visitor.mayLog(code)) log.warn({ code, facts }, `refused: ${message}`)
}

/** Destroys the connection when its time is over. */
const endedBy = (
  raw: Socket,
  { deadlineMs, hurry }: SecureOptions,
): { readonly reason: BackupError | undefined; forget(): void } => {
  let reason: BackupError | undefined
  const end = (error: BackupError): void => {
    reason ??= error
    raw.destroy()
  }
  const timer = setTimeout(
    () =>
      end(new BackupError('AGENT_REQUEST_TIMEOUT', `no TLS handshake within ${deadlineMs / 1000} s`, { deadlineMs })),
    deadlineMs,
  )
  const onHurry = (): void => end(new BackupError('JOB_DRAINING', 'the agent is shutting down'))
  if (hurry.aborted) onHurry()
  hurry.addEventListener('abort', onHurry)
  return {
    get reason() {
      return reason
    },
    forget: () => {
      clearTimeout(timer)
      hurry.removeEventListener('abort', onHurry)
    },
  }
}

/** Leaves everything where it is. @returns undefined when nothing comes any more */
const firstByte = (raw: Socket): Promise<number | undefined> =>
  new Promise((resolve) => {
    const settle = (byte: number | undefined): void => {
      raw.off('readable', look).off('end', onEnd).off('close', onEnd)
      resolve(byte)
    }
    const look = (): void => {
      const chunk = raw.read() as Buffer | null
      if (chunk === null) return
      raw.unshift(chunk)
      settle(chunk[0])
    }
    const onEnd = (): void => settle(undefined)
    if (raw.destroyed) return resolve(undefined)
    raw.on('readable', look).on('end', onEnd).on('close', onEnd)
  })

const addressOf = ({ remoteAddress = '?' }: Socket): string => remoteAddress.replace(/^::ffff:(?=[\d.]+$)/i, '')

const tlsRequired = (): BackupError =>
  new BackupError(
    'AGENT_TLS_REQUIRED',
    'this agent speaks TLS here, and was asked in clear',
    {},
    { hint: 'backup-client: --tls, and --tls-ca FILE for a private authority; older clients: through stunnel' },
  )

const insecure = (): BackupError =>
  new BackupError(
    'AGENT_INSECURE',
    'this agent serves its own host alone: neither TLS nor "insecure" is configured',
    {},
    { hint: 'in the configuration of the agent: tls-cert and tls-key ("backup-agent certificates" makes them)' },
  )
