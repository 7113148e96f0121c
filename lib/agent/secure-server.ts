/**
 * Makes a connection secure: the handshake on the agent's side, and whose certificate the client has shown.
 *
 *     raw socket ─▶ handshake ─┬▶ a socket that encrypts, on the same connection
 *                              └▶ thrown, and the connection is closed: with an alert where there is one
 *
 * One of these is one pair of certificate and key; when they change there is a new one, and connections of
 * the old one go on. It listens nowhere: connections are handed to it. No session is ever resumed: what a
 * certificate is good for is asked anew each time.
 */

import { constants } from 'node:crypto'
import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { setImmediate } from 'node:timers/promises'

import { alternativeNames, type Authorities, commonNames, type Identity } from '../certificates/index.ts'
import type { ClientCertificates } from '../config/index.ts'
import { BackupError } from '../errors/index.ts'

export interface SecuredConnection {
  readonly socket: Socket
  /** Common name and DNS names of a certificate that is trusted; none without one. */
  readonly certificateNames: readonly string[]
  /** Why this client is not served, although the handshake went well: so it can be told. */
  readonly refused: BackupError | undefined
  /** `TLSv1.3` */
  readonly protocol: string
}

export interface ServerSecrets {
  readonly identity: Identity
  readonly authorities: Authorities | undefined
  readonly clients: ClientCertificates
}

interface Waiting {
  resolve(socket: TLSSocket): void
  reject(error: Error): void
}

/** Timers of Node go no further. Whoever waits for a handshake has a deadline of its own. */
const NO_DEADLINE_MS = 2 ** 31 - 1

export class SecureServer {
  readonly #server: Server
  readonly #clients: ClientCertificates
  readonly #waiting = new Map<string, Waiting>()

  constructor({ identity, authorities, clients }: ServerSecrets) {
    this.#clients = clients
    this.#server = createServer({
      cert: identity.certificatePem,
      key: identity.keyPem,
      ...(authorities === undefined ? {} : { ca: authorities.pem }),
      minVersion: 'TLSv1.2',
      requestCert: clients !== 'none',
      // Whoever is not trusted is told so in words, by us: an alert comes after the handshake in TLS 1.3, where
      // many clients never see it.
      rejectUnauthorized: false,
      handshakeTimeout: NO_DEADLINE_MS,
      secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    })
    this.#server.on('secureConnection', (socket) => {
      socket.allowHalfOpen = true
      socket.on('error', () => undefined) // until its session listens; what it was is seen by whoever uses it
      this.#waiting.get(endsOf(socket))?.resolve(socket)
    })
    this.#server.on('tlsClientError', (error, socket) => this.#waiting.get(endsOf(socket))?.reject(error))
  }

  /**
   * @param raw with what has come so far still in it. Whoever destroys it ends the handshake
   * @throws BackupError `AGENT_TLS_HANDSHAKE`
   */
  async handshake(raw: Socket): Promise<SecuredConnection> {
    // An event of the server does not say which socket it was given; the two ends of a connection do.
    const key = endsOf(raw)
    let onClose = (): void => undefined
    try {
      const socket = await new Promise<TLSSocket>((resolve, reject) => {
        onClose = (): void => reject(new Error('the client closed the connection'))
        raw.once('close', onClose)
        // A session goes on when its client has said all it has to say; in a handshake that is the end. Node's TLS
        // socket takes the setting over when it is made.
        raw.allowHalfOpen = false
        this.#waiting.set(key, { resolve, reject })
        this.#server.emit('connection', raw)
      })
      // The event comes from inside of OpenSSL's handshake: what would end the connection now would be no end to TLS.
      await setImmediate()
      return { socket, protocol: socket.getProtocol() ?? 'unknown', ...this.#look(socket) }
    } catch (cause) {
      throw new BackupError(
        'AGENT_TLS_HANDSHAKE',
        `the TLS handshake failed: ${reasonOf(cause as Error)}`,
        {},
        { cause },
      )
    } finally {
      raw.off('close', onClose)
      this.#waiting.delete(key)
    }
  }

  #look(socket: TLSSocket): Pick<SecuredConnection, 'certificateNames' | 'refused'> {
    if (this.#clients === 'none') return { certificateNames: [], refused: undefined }
    const certificate = socket.getPeerX509Certificate()
    if (certificate === undefined) {
      const isNeeded = this.#clients === 'required'
      return { certificateNames: [], refused: isNeeded ? notTrusted('found none', 'none') : undefined }
    }
    if (!socket.authorized) {
      const why = String(socket.authorizationError)
      return { certificateNames: [], refused: notTrusted(`found one that is not (${why})`, why) }
    }
    const dns = alternativeNames(certificate).flatMap(({ kind, name }) => (kind === 'DNS' ? [name] : []))
    return { certificateNames: [...new Set([...commonNames(certificate), ...dns])], refused: undefined }
  }
}

const notTrusted = (found: string, why: string): BackupError =>
  new BackupError(
    'AGENT_TLS_CLIENT',
    `expected a certificate of the client that is trusted here, ${found}`,
    { why },
    {
      hint: 'backup-client: --tls-cert and --tls-key; it is signed by one of tls-client-ca of the agent, valid, and for clients',
    },
  )

const endsOf = ({ localAddress, localPort, remoteAddress, remotePort }: Socket): string =>
  `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`

/** OpenSSL's own reason, without its numbers and source files. */
const reasonOf = (error: Error & { readonly reason?: string; readonly code?: string }): string =>
  error.reason ?? error.code ?? error.message
