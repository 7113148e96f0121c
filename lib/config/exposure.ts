/**
 * Who reaches an address: this host alone, or others too. Others are served over TLS, or by an explicit decision.
 *
 *     127.0.0.0/8, ::1, ::ffff:127.0.0.0/104    this host alone
 *     every other number, and 0.0.0.0, ::       others too
 *     a name                                    nobody knows before it is looked up: whoever listens asks again
 *
 * Pure; looks nothing up.
 */

import { BackupError } from '../errors/index.ts'
import { type AgentSettings, DEFAULT_HOST, DEFAULT_PORT } from './agent-settings.ts'
import { showAddress } from './value-forms.ts'

/** @param address a number; a zone behind `%` does not matter */
export const isLoopback = (address: string): boolean => {
  if (/^127(?:\.\d{1,3}){3}$/.test(address)) return true
  // `::ffff:7f01:203` is 127.1.2.3 as a mapped address of version 6 (RFC 4291, 2.5.5.2).
  return /^(?:::1|::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4})$/.test(canonicalVersion6(address))
}

/** In one spelling: `0:0:0:0:0:0:0:1` is `::1`. Empty where it is none. */
const canonicalVersion6 = (address: string): string => {
  if (!address.includes(':')) return ''
  const url = `http://[${address.split('%')[0]}]`
  return URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : ''
}

const isNumeric = (host: string): boolean => /^[\d.]+$/.test(host) || host.includes(':')

type Reach = Pick<Partial<AgentSettings>, 'host' | 'port' | 'tls' | 'insecure'>

/** Whether others would be served in clear without anybody having decided so. False for a name: see above. */
export const isExposed = ({ host = DEFAULT_HOST, tls, insecure = false }: Reach): boolean =>
  tls === undefined && !insecure && isNumeric(host) && !isLoopback(host)

/** @throws BackupError `AGENT_INSECURE` */
export const refuseExposure = (settings: Reach): void => {
  if (!isExposed(settings)) return
  const { host = DEFAULT_HOST, port = DEFAULT_PORT } = settings
  throw new BackupError(
    'AGENT_INSECURE',
    `expected TLS on ${showAddress({ host, port })}, which others than this host reach, found none: passwords and backups would travel in clear`,
    { host, port },
    {
      hint: 'give tls-cert and tls-key ("backup-agent certificates" makes them), listen on 127.0.0.1, or say insecure to do without',
    },
  )
}
