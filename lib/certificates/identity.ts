/**
 * Who somebody is, by two files: a certificate and the key that belongs to it.
 *
 *     PEM files ─▶ may they be believed? ─▶ are they what they should be? ─▶ do they belong together? ─▶ valid now?
 *
 * Each no is told with the file and what to do. Keys are held in memory, and never said.
 */

import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto'

import { BackupError } from '../errors/index.ts'
import { type CertificateFacts, factsOf, readCertificates } from './certificate-facts.ts'
import { dayOf } from './expiry.ts'
import { readTrustedFile, refused, type Side, type WantedFile } from './trusted-file.ts'

export interface IdentityFiles {
  readonly certificate: string
  readonly key: string
}

export interface Identity {
  /** PEM, as the file says it: the own certificate first. */
  readonly certificatePem: string
  readonly keyPem: string
  readonly facts: CertificateFacts
  readonly chain: readonly X509Certificate[]
}

/** @throws BackupError `AGENT_TLS_FILE`, `AGENT_TLS_KEY`, `AGENT_TLS_EXPIRED`; of a client `CLIENT_TLS_FILE`, `CLIENT_TLS_EXPIRED` */
export const readIdentity = async (files: IdentityFiles, side: Side, nowMs: number): Promise<Identity> => {
  const certificateFile: WantedFile = { path: files.certificate, what: 'the certificate', side }
  const keyFile: WantedFile = { path: files.key, what: 'the key', side, isSecret: true }
  const certificatePem = await readTrustedFile(certificateFile)
  const keyPem = await readTrustedFile(keyFile)
  const chain = certificatesIn(certificatePem, certificateFile)
  const own = chain[0] as X509Certificate
  const key = keyIn(keyPem, keyFile)
  if (!own.checkPrivateKey(key)) {
    throw new BackupError(
      side === 'agent' ? 'AGENT_TLS_KEY' : 'CLIENT_TLS_FILE',
      `the key ${files.key} does not belong to the certificate ${files.certificate}`,
      { key: files.key, certificate: files.certificate },
      {
        hint: 'the certificate of its owner stands first in the file, those above it follow; is one of the two files old?',
      },
    )
  }
  const facts = factsOf(own)
  checkTime(facts, certificateFile, nowMs)
  return { certificatePem, keyPem, facts, chain }
}

export interface Authorities {
  readonly pem: string
  readonly certificates: readonly X509Certificate[]
}

/** Those whose signature is believed. @throws BackupError `AGENT_TLS_FILE`, `CLIENT_TLS_FILE` */
export const readAuthorities = async (path: string, side: Side): Promise<Authorities> => {
  const file: WantedFile = { path, what: 'the file of authorities', side }
  const pem = await readTrustedFile(file)
  return { pem, certificates: certificatesIn(pem, file) }
}

const certificatesIn = (pem: string, file: WantedFile): X509Certificate[] => {
  let found: X509Certificate[]
  try {
    found = readCertificates(pem)
  } catch (cause) {
    throw refused(file, 'a certificate in it is broken', 'see where: openssl x509 -in FILE -noout -text', cause)
  }
  if (found.length > 0) return found
  throw refused(file, 'it holds no certificate', 'expected PEM: -----BEGIN CERTIFICATE-----')
}

const keyIn = (pem: string, file: WantedFile): KeyObject => {
  try {
    return createPrivateKey(pem)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const isLocked = code === 'ERR_MISSING_PASSPHRASE' || pem.includes('ENCRYPTED')
    throw isLocked
      ? refused(
          file,
          'it is locked with a passphrase',
          'nobody is there to be asked for it: openssl pkey -in FILE -out NEW',
          cause,
        )
      : refused(file, 'it holds no private key', 'expected PEM: -----BEGIN PRIVATE KEY-----', cause)
  }
}

const checkTime = ({ fromMs, untilMs }: CertificateFacts, { path, side }: WantedFile, nowMs: number): void => {
  if (nowMs >= fromMs && nowMs < untilMs) return
  const problem = nowMs < fromMs ? `is not valid before ${dayOf(fromMs)}` : `has expired on ${dayOf(untilMs)}`
  throw new BackupError(
    side === 'agent' ? 'AGENT_TLS_EXPIRED' : 'CLIENT_TLS_EXPIRED',
    `the certificate ${path} ${problem}`,
    { path, from: dayOf(fromMs), until: dayOf(untilMs) },
    { hint: nowMs < fromMs ? 'is the clock of this host right?' : 'put a new one in its place' },
  )
}
