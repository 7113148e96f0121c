/**
 * Is the agent's address free, or does an agent answer there?
 *
 *     nobody accepts         free: an agent may be started
 *     an agent answers       well: it is running; one that speaks TLS says just that
 *     a name of this host that means 127.…    nobody else could reach the agent: Debian gives a host's own name 127.0.1.1
 *     something else does    an agent could not be started there
 *
 * Asks as a client would, and listens nowhere. The question itself comes from outside.
 */

import { lookup } from 'node:dns/promises'
import { networkInterfaces } from 'node:os'

import { isLoopback } from '../config/index.ts'
import { BackupError } from '../errors/index.ts'
import { type Finding, fail, failedWith, ok, warn } from './finding.ts'

export interface Address {
  readonly host: string
  readonly port: number
}

/** @returns what answers, as `backup-client ping` shows it; @throws BackupError `CLIENT_*`, `PROTOCOL_*` */
export type Ping = (address: Address) => Promise<{ readonly agent: string }>

/** Which address a name means on this host. */
type LookUp = (name: string) => Promise<{ readonly address: string }>

export const checkPort = async (address: Address, ping: Ping, lookUp: LookUp = lookup): Promise<Finding> => {
  const finding = await askThere(address, ping)
  const inner = finding.result === 'ok' ? await innerAddress(address.host.toLowerCase(), lookUp) : undefined
  if (inner === undefined) return finding
  return warn(
    'port',
    `${finding.found}; but the name ${address.host} means ${inner} here, where no other machine reaches the agent`,
    'name an address of this host with --listen, or 0.0.0.0 for all; or "localhost", if that is meant',
  )
}

const askThere = async ({ host, port }: Address, ping: Ping): Promise<Finding> => {
  const where = `${host}:${port}`
  if (port === 0) return ok('port', 'the system chooses one')
  if (!isOwn(host)) return fail('port', `${host} is no address of this host`, 'change --listen')
  try {
    const { agent } = await ping({ host: ANY[host] ?? host, port })
    return ok('port', `${agent} answers at ${where}`)
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    if (error.code === 'CLIENT_CONNECT' && systemCode(error) === 'ECONNREFUSED') {
      return ok('port', `${where} is free, nobody listens there`)
    }
    if (error.facts['agentCode'] === 'AGENT_TLS_REQUIRED')
      return ok('port', `an agent that speaks TLS answers at ${where}`)
    if (error.code === 'CLIENT_REFUSED') return warn('port', `at ${where}: ${error.message}`, 'update that agent')
    if (error.code === 'CLIENT_CONNECT') return failedWith('port', error)
    return fail(
      'port',
      `something that is no agent has ${where}: ${error.message}`,
      `see who it is: ss -ltnp 'sport = :${port}'; or change --listen`,
    )
  }
}

/** Where a listener on all addresses is found. */
const ANY: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }

/** A name is looked up by whoever listens. */
const isOwn = (host: string): boolean =>
  !isNumeric(host) ||
  ANY[host] !== undefined ||
  host.startsWith('127.') ||
  Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === host))

/** What a name that sounds like more is looked up as, when it is this host alone. */
const innerAddress = async (host: string, lookUp: LookUp): Promise<string | undefined> => {
  if (isNumeric(host) || host === 'localhost' || host.endsWith('.localhost')) return undefined
  const found = await lookUp(host).catch(() => undefined) // who listens says why it cannot
  return found !== undefined && isLoopback(found.address) ? found.address : undefined
}

const isNumeric = (host: string): boolean => /^[\d.]+$/.test(host) || host.includes(':')

const systemCode = ({ cause }: BackupError): string | undefined => (cause as NodeJS.ErrnoException | undefined)?.code
