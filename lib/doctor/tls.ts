/**
 * Does what the agent says of itself hold: may the files be believed, do they belong together, and for how long?
 *
 *     tls            spoken, not needed, decided against, or missing
 *     certificate    names, the days that are left, and those above it in their order
 *     client ca      who signs for clients, and the days that are left
 *
 * Looks only. A private key is read and never said.
 */

import type { X509Certificate } from 'node:crypto'

import {
  type CertificateFacts,
  daysLeft,
  expiryWarning,
  factsOf,
  readAuthorities,
  readIdentity,
} from '../certificates/index.ts'
import { type AgentSettings, isExposed, refuseExposure, type TlsSettings } from '../config/index.ts'
import { type Finding, fail, failedWith, ok, warn } from './finding.ts'

type Settings = Pick<AgentSettings, 'host' | 'port' | 'tls' | 'insecure'>

const RENEW = 'order or make a new one in its place; the agent takes it over by itself'

export const checkTls = async (settings: Settings, nowMs: number): Promise<Finding[]> => {
  const { tls } = settings
  if (tls === undefined) return [withoutTls(settings)]
  const { clientAuthorities, clients = clientAuthorities === undefined ? 'none' : 'required' } = tls
  const spoken = ok('tls', `spoken; certificates of clients: ${clients}`)
  return [
    spoken,
    await attempt('certificate', () => checkCertificate(tls, nowMs)),
    ...(clientAuthorities === undefined
      ? []
      : [await attempt('client ca', () => checkAuthorities(clientAuthorities, nowMs))]),
  ]
}

const withoutTls = (settings: Settings): Finding => {
  if (isExposed(settings)) {
    try {
      refuseExposure(settings)
    } catch (error) {
      return failedWith('tls', error)
    }
  }
  return settings.insecure === true
    ? warn(
        'tls',
        'not spoken, and others are served in clear (insecure)',
        'give tls-cert and tls-key: backup-agent certificates',
      )
    : ok('tls', 'not spoken; only this host is served')
}

const attempt = async (check: string, look: () => Promise<Finding>): Promise<Finding> => {
  try {
    return await look()
  } catch (error) {
    return failedWith(check, error)
  }
}

const checkCertificate = async (tls: TlsSettings, nowMs: number): Promise<Finding> => {
  const { facts: own, chain } = await readIdentity(tls, 'agent', nowMs)
  const shown = own.names.join(', ') || 'no name'
  const facts = { names: own.names, daysLeft: daysLeft(own, nowMs) }
  if (!own.isForServers) {
    return fail(
      'certificate',
      `${tls.certificate} is not for servers`,
      'order one with the extended key usage serverAuth',
      facts,
    )
  }
  const broken = brokenLink(chain)
  if (broken !== undefined)
    return warn('certificate', `${tls.certificate}: ${broken}`, 'put them in order, the own one first', facts)
  const soon = soonest(chain, nowMs)
  if (soon !== undefined) return warn('certificate', `${shown}: ${soon}`, RENEW, facts)
  return ok('certificate', `${shown}, ${facts.daysLeft} days left`, facts)
}

/** Each is signed by the next one, as far as the file goes. */
const brokenLink = (chain: readonly X509Certificate[]): string | undefined => {
  for (const [at, certificate] of chain.entries()) {
    const above = chain[at + 1]
    if (above !== undefined && !certificate.checkIssued(above))
      return `certificate ${at + 2} has not signed the one before it`
  }
  return undefined
}

const soonest = (certificates: readonly X509Certificate[], nowMs: number): string | undefined => {
  const [first] = certificates.map(factsOf).sort((one, other) => one.untilMs - other.untilMs)
  return first === undefined ? undefined : expiryWarning(first, nowMs)
}

const checkAuthorities = async (path: string, nowMs: number): Promise<Finding> => {
  const { certificates } = await readAuthorities(path, 'agent')
  const all = certificates.map(factsOf)
  const names = all.flatMap((one) => one.names)
  const left = Math.min(...all.map((one) => daysLeft(one, nowMs)))
  const facts = { names, daysLeft: left }
  if (!all.some((one) => one.isAuthority)) {
    return fail('client ca', `${path} holds no authority`, 'name the certificate that signs those of clients', facts)
  }
  if (all.every((one) => isOver(one, nowMs))) {
    return fail('client ca', `${path} has expired: no client comes in`, 'make a new authority', facts)
  }
  const soon = soonest(certificates, nowMs)
  return soon === undefined
    ? ok('client ca', `${names.join(', ')}, ${left} days left`, facts)
    : warn('client ca', soon, RENEW, facts)
}

const isOver = ({ untilMs }: CertificateFacts, nowMs: number): boolean => nowMs >= untilMs
