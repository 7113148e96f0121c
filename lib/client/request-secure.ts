/**
 * Makes the connection to an agent secure: who it is, is proven before a byte of the request leaves.
 *
 *     raw socket ─▶ handshake ─▶ signed by somebody who is trusted? ─▶ for the name that was asked? ─▶ secure
 *                      └───────────── no: thrown, with what is wrong and what to do ──────────────┘
 *
 * TLS 1.2 at least. Never falls back to clear text. An agent that does not like our certificate says so behind the
 * handshake in TLS 1.3: `tlsFailure` finds that in whatever broke the connection later.
 */

import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { checkServerIdentity, connect, rootCertificates, type TLSSocket } from 'node:tls'

import { readAuthorities, readIdentity } from '../certificates/index.ts'
import { BackupError, type ErrorCode } from '../errors/index.ts'

/** How an agent is asked over TLS. Paths of PEM files. */
export interface TlsOptions {
  /** Who is trusted to say who an agent is; the authorities of this system otherwise. */
  readonly ca?: string | undefined
  /** Our own certificate, for an agent that wants one; its key beside it. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
  /** The name or address that the agent's certificate is for; the host that is asked otherwise. */
  readonly name?: string | undefined
}

/** What the files hold, and the name; made before anybody is connected to. */
export interface ClientSecrets {
  readonly ca: string | readonly string[]
  readonly cert?: string
  readonly key?: string
  readonly name: string
}

/** @throws BackupError `CLIENT_TLS_FILE`, `CLIENT_TLS_EXPIRED`, `CLI_USAGE` */
export const readSecrets = async (options: TlsOptions, host: string, nowMs: number): Promise<ClientSecrets> => {
  const { ca, cert, key, name = host } = options
  if ((cert === undefined) !== (key === undefined)) {
    throw new BackupError(
      'CLI_USAGE',
      `expected a certificate and its key, found the ${cert === undefined ? 'key' : 'certificate'} alone`,
      {},
      { hint: 'give --tls-cert and --tls-key' },
    )
  }
  const authorities = ca === undefined ? await systemAuthorities() : (await readAuthorities(ca, 'client')).pem
  const bare = name.split('%')[0] ?? name // the zone of an address is ours alone
  if (cert === undefined || key === undefined) return { ca: authorities, name: bare }
  const own = await readIdentity({ certificate: cert, key }, 'client', nowMs)
  return { ca: authorities, name: bare, cert: own.certificatePem, key: own.keyPem }
}

/** Where systems keep those whom they trust: Debian, Red Hat, SUSE, Alpine. */
const SYSTEM_FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
]

/** Where there are none, those that came with Node. */
const systemAuthorities = async (): Promise<string | readonly string[]> => {
  for (const file of SYSTEM_FILES) {
    const pem = await readFile(file, 'latin1').catch(() => '')
    if (pem !== '') return pem
  }
  return rootCertificates
}

const ADDRESS = /^[\d.]+$|:/

/**
 * @param raw connected; whoever destroys it ends the handshake
 * @param where of the agent, as it is called in messages
 * @throws BackupError `CLIENT_TLS_*`
 */
export const secured = (raw: Socket, { ca, name, ...own }: ClientSecrets, where: string): Promise<TLSSocket> =>
  new Promise((resolve, reject) => {
    const socket = connect({
      socket: raw,
      ca: ca as string | string[],
      ...own,
      minVersion: 'TLSv1.2',
      rejectUnauthorized: true,
      // An address is no name to be sent along (RFC 6066, 3); it is checked all the same.
      ...(ADDRESS.test(name) ? {} : { servername: name }),
      checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
    })
    const fail = (cause: Error): void => {
      settle()
      socket.on('error', () => undefined) // a late one has no listener any more
      socket.destroy()
      reject(tlsFailure(cause, where, own.cert !== undefined) ?? handshakeFailed(cause, where, name))
    }
    const onClose = (): void => fail(new Error('the agent closed the connection'))
    const onSecure = (): void => {
      settle()
      resolve(socket)
    }
    const settle = (): void => {
      socket.off('error', fail).off('close', onClose).off('secureConnect', onSecure)
    }
    socket.on('error', fail).on('close', onClose).on('secureConnect', onSecure)
  })

type TlsError = Error & { readonly code?: string | undefined; readonly reason?: string | undefined }

/** OpenSSL's names change between its versions: only their ends are looked at. */
const MEANINGS: readonly (readonly [RegExp, ErrorCode, (where: string) => string, string])[] = [
  [
    /^CERT_HAS_EXPIRED$|^CERT_NOT_YET_VALID$/,
    'CLIENT_TLS_EXPIRED',
    (where) => `the certificate of ${where}, or one above it, is not valid now`,
    'put a new one on the host of the agent; or is the clock of this host wrong?',
  ],
  [
    /SELF_SIGNED|UNABLE_TO_(?:GET|VERIFY)|^CERT_(?:UNTRUSTED|REJECTED|SIGNATURE_FAILURE|CHAIN_TOO_LONG)$|^INVALID_(?:CA|PURPOSE)$|^PATH_LENGTH_EXCEEDED$/,
    'CLIENT_TLS_UNTRUSTED',
    (where) => `the certificate of ${where} comes from nobody who is trusted here`,
    'give the authority that has signed it: --tls-ca FILE',
  ],
  [
    /ALTNAME_INVALID$|^HOSTNAME_MISMATCH$/,
    'CLIENT_TLS_NAME',
    (where) => `the certificate of ${where} is for another name`,
    'ask by a name that it is for, or say which one it has: --tls-name NAME',
  ],
  [
    /(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|RECORD_TOO_SMALL|BAD_RECORD_TYPE|UNEXPECTED_MESSAGE)$/,
    'CLIENT_TLS_NOT_SPOKEN',
    (where) => `${where} speaks no TLS`,
    'give the agent a certificate (tls-cert, tls-key), or ask it without --tls where the network is trusted',
  ],
  [
    /(?:UNSUPPORTED_PROTOCOL|ALERT_PROTOCOL_VERSION|VERSION_TOO_LOW|INSUFFICIENT_SECURITY)$/,
    'CLIENT_TLS_VERSION',
    (where) => `${where} speaks no TLS that is new enough: 1.2 at least`,
    'update whatever speaks TLS there',
  ],
  [
    /ALERT_(?:CERTIFICATE_REQUIRED|BAD_CERTIFICATE|NO_CERTIFICATE)$|PEER_DID_NOT_RETURN_A_CERTIFICATE$/,
    'CLIENT_TLS_CERTIFICATE',
    (where) => `${where} wants a certificate of the client`,
    'give --tls-cert and --tls-key',
  ],
  [
    /ALERT_(?:UNKNOWN_CA|CERTIFICATE_UNKNOWN|CERTIFICATE_EXPIRED|CERTIFICATE_REVOKED|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED|DECRYPT_ERROR)$/,
    'CLIENT_TLS_CERTIFICATE',
    (where) => `${where} does not take the certificate of this client`,
    'it has to be signed by an authority that the agent trusts, valid, and for clients',
  ],
]

/** @returns undefined when the error says nothing about TLS that has a name of its own */
export const tlsFailure = (cause: TlsError, where: string, hasCertificate: boolean): BackupError | undefined => {
  const { code = '' } = cause
  for (const [pattern, errorCode, message, hint] of MEANINGS) {
    if (!pattern.test(code)) continue
    return new BackupError(errorCode, `${message(where)} (${detailOf(cause)})`, { openssl: code }, { cause, hint })
  }
  // Up to TLS 1.2 that is also how a missing certificate is told.
  if (!/ALERT_HANDSHAKE_FAILURE$/.test(code) || hasCertificate) return undefined
  return new BackupError(
    'CLIENT_TLS_CERTIFICATE',
    `${where} refused the handshake, as one does that wants a certificate of the client`,
    { openssl: code },
    { cause, hint: 'give --tls-cert and --tls-key' },
  )
}

/** Node says of a wrong name which ones there are; of everything else OpenSSL's own word suffices. */
const detailOf = ({ code = '', reason, message }: TlsError): string =>
  code === 'ERR_TLS_CERT_ALTNAME_INVALID' ? (reason ?? message).replace(/\.$/, '') : (reason ?? code)

const handshakeFailed = (cause: TlsError, where: string, name: string): BackupError =>
  new BackupError(
    'CLIENT_TLS_HANDSHAKE',
    `the TLS handshake with ${where} failed: ${cause.reason ?? cause.code ?? cause.message}`,
    { name, openssl: cause.code ?? null },
    { cause, hint: 'does an agent listen there, and does it speak TLS? its log says more' },
  )
