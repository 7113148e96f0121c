/**
 * The options by which a command of the client asks an agent over TLS.
 *
 *     --tls                       who is trusted by this system, and the name that was asked for
 *     --tls-ca, --tls-cert, …     each of them means --tls as well: nobody names an authority and wants clear text
 */

import type { Command } from 'commander'

import type { TlsOptions } from '../client/index.ts'

export interface TlsWords {
  readonly tls?: true
  readonly tlsCa?: string
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsName?: string
}

export const addTlsOptions = (command: Command): Command =>
  command
    .option('--tls', 'ask over TLS, and never in clear; so does each option that begins with --tls-')
    .option('--tls-ca <FILE>', 'who may say that an agent is the one it says (PEM; default: those this system trusts)')
    .option('--tls-cert <FILE>', 'certificate of this client, for agents that want one (PEM)')
    .option('--tls-key <FILE>', 'its private key (PEM), readable for you alone')
    .option(
      '--tls-name <NAME>',
      "name or address that the agent's certificate is for (default: the host that is asked)",
    )

/** @returns undefined: in clear */
export const tlsOf = ({
  tls,
  tlsCa: ca,
  tlsCert: cert,
  tlsKey: key,
  tlsName: name,
}: TlsWords): TlsOptions | undefined =>
  tls === undefined && [ca, cert, key, name].every((word) => word === undefined) ? undefined : { ca, cert, key, name }
