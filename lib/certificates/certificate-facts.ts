/**
 * What a certificate says of itself: whose it is, for how long, and what for.
 *
 *     subject=CN=db1      SAN: DNS:db1, IP Address:192.0.2.7      notAfter      EKU: serverAuth
 *
 * Pure. What is trusted is decided by OpenSSL alone, and not here.
 */

import { X509Certificate } from 'node:crypto'

export interface CertificateFacts {
  /** `db1, 192.0.2.7`: its alternative names, else its common name. */
  readonly names: readonly string[]
  readonly fromMs: number
  readonly untilMs: number
  readonly isAuthority: boolean
  /** Whether it may be shown by a server; true where it does not say what it is for. */
  readonly isForServers: boolean
}

/** Source: RFC 5280, 4.2.1.12. */
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const ANY_PURPOSE = '2.5.29.37.0'

/** All certificates of a PEM text, in their order. @throws Error of OpenSSL */
export const readCertificates = (pem: string): X509Certificate[] =>
  [...pem.matchAll(/-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g)].map(
    ([text]) => new X509Certificate(text),
  )

export const factsOf = (certificate: X509Certificate): CertificateFacts => {
  const { validFrom, validTo, ca, keyUsage } = certificate
  const purposes = keyUsage as readonly string[] | undefined // Node's name for the extended one
  const names = alternativeNames(certificate).map(({ name }) => name)
  return {
    names: names.length > 0 ? names : commonNames(certificate),
    fromMs: Date.parse(validFrom),
    untilMs: Date.parse(validTo),
    isAuthority: ca,
    isForServers: purposes === undefined || purposes.includes(SERVER_AUTH) || purposes.includes(ANY_PURPOSE),
  }
}

export interface AlternativeName {
  readonly kind: 'DNS' | 'IP Address'
  readonly name: string
}

/**
 * `DNS:db1, IP Address:192.0.2.7` -> db1, 192.0.2.7
 *
 * Node writes a name in quotes, as JSON, when it holds anything that could be taken for the next one (CVE-2021-44532).
 */
export const alternativeNames = ({ subjectAltName = '' }: Pick<X509Certificate, 'subjectAltName'>): AlternativeName[] =>
  [...subjectAltName.matchAll(/(?:^|, )([^:",]+):("(?:[^"\\]|\\.)*"|[^",]*)/g)].flatMap(([, kind, text = '']) => {
    if (kind !== 'DNS' && kind !== 'IP Address') return []
    return [{ kind, name: text.startsWith('"') ? (JSON.parse(text) as string) : text }]
  })

/**
 * `O=Example\nCN=db1` -> db1; usually one.
 *
 * Node writes one part of the subject a line, joins what belongs to one part by ` + `, and escapes everything that
 * could be taken for either (RFC 2253, 2.4). Not by `toLegacyObject`, after which `node:tls` is broken in Node 20.
 */
export const commonNames = ({ subject }: Pick<X509Certificate, 'subject'>): string[] =>
  (subject ?? '') // a certificate may have none, whatever the types say
    .split(/\n| \+ /)
    .flatMap((part) => (part.startsWith('CN=') ? [unescaped(part.slice('CN='.length))] : []))

const unescaped = (text: string): string =>
  text.replace(/\\([0-9A-F]{2}|[\s\S])/g, (_, what: string) =>
    what.length === 2 ? String.fromCharCode(Number.parseInt(what, 16)) : what,
  )
