/**
 * Which role a caller has, by what it shows.
 *
 *     a token         its role, and no other: a bad one is refused whatever else is shown
 *     a certificate   the role that lists one of its names; exact names before `*.` ones
 *     an address      the role without a token that has the smallest network around it
 *
 * Then, whichever it was: a role with addresses is for callers from there alone. What is shown
 * decides, so nobody gets by one thing what another one denies. Pure: it is given the entry of the token.
 *
 * Rules: PROTOCOL.md, "Who may ask".
 */

import { isInNetwork, type IpAddress, type Network, readIpAddress, readNetwork, type Role } from '../config/index.ts'
import { isExpired, type TokenEntry } from '../tokens/index.ts'

/** By whom a job was asked for, as log and history say it. Never a secret. */
export interface Caller {
  readonly role: string
  /** The name that the token has in the file of tokens. */
  readonly tokenName?: string | undefined
  readonly certificateName?: string | undefined
}

/** What a connection shows by itself. */
export interface CallerChannel {
  /** Of the other side, as the system says it. */
  readonly address: string
  /** Of a verified client certificate; none without. */
  readonly certificateNames: readonly string[]
}

/** A token that was sent, and what the file says of it. */
export interface ShownToken {
  readonly entry: TokenEntry | undefined
}

export interface NamedRole {
  readonly name: string
  readonly role: Role
  /** Undefined: from anywhere. */
  readonly networks: readonly Network[] | undefined
}

export type Roles = ReadonlyMap<string, NamedRole>

/** @throws Error for an address that is none: a configuration has been checked, settings of a library may not */
export const namedRoles = (roles: Readonly<Record<string, Role>>): Roles =>
  new Map(
    Object.entries(roles).map(([name, role]) => [
      name,
      { name, role, networks: role.addresses?.map((text) => networkOf(text, name)) },
    ]),
  )

const networkOf = (text: string, role: string): Network => {
  const reading = readNetwork(text)
  if ('value' in reading) return reading.value
  throw new Error(`the role ${role}: ${reading.problem}`)
}

export type Found =
  | { readonly role: NamedRole; readonly caller: Caller; readonly expiresMs?: number | undefined }
  /** For the log alone. */
  | { readonly why: string; readonly facts?: Readonly<Record<string, string | readonly string[]>> }

export const findRole = (
  roles: Roles,
  { address, certificateNames }: CallerChannel,
  token: ShownToken | undefined,
  nowMs: number,
): Found => {
  const peer = readIpAddress(address)
  const found =
    token !== undefined
      ? byToken(roles, token, nowMs)
      : (byCertificate(roles, certificateNames) ?? byAddress(roles, peer) ?? nothing(certificateNames))
  if ('why' in found || isFrom(peer, found.role.networks)) return found
  return { why: 'the role is not for this address', facts: { ...namesOf(found.caller), address } }
}

const byToken = (roles: Roles, { entry }: ShownToken, nowMs: number): Found => {
  if (entry === undefined) return { why: 'the token is not known' }
  const { name: tokenName, role: roleName, expiresMs } = entry
  const facts = { tokenName, role: roleName }
  if (entry.revokedMs !== undefined) return { why: 'the token was revoked', facts }
  if (isExpired(entry, nowMs)) return { why: 'the token has expired', facts }
  const role = roles.get(roleName)
  if (role === undefined) return { why: 'the role of the token is not in the configuration', facts }
  return { role, caller: { role: roleName, tokenName }, expiresMs }
}

const byCertificate = (roles: Roles, names: readonly string[]): Found | undefined => {
  for (const isGiving of [isExactly, isBelow]) {
    for (const certificateName of names) {
      const role = [...roles.values()].find((one) =>
        one.role.certificates?.some((pattern) => isGiving(certificateName, pattern)),
      )
      if (role !== undefined) return { role, caller: { role: role.name, certificateName } }
    }
  }
  return undefined
}

/** A certificate that is itself for a star is for no name in particular, and gives nothing. */
const isExactly = (name: string, pattern: string): boolean => name === pattern && !pattern.startsWith('*')

const ONE_LABEL = /^[A-Za-z0-9_-]{1,63}$/

/** `*.example.org` is one label and `.example.org`: never two, and never none. */
const isBelow = (name: string, pattern: string): boolean =>
  pattern.startsWith('*.') &&
  name.endsWith(pattern.slice(1)) &&
  ONE_LABEL.test(name.slice(0, name.length - pattern.length + 1))

const byAddress = (roles: Roles, peer: IpAddress | undefined): Found | undefined => {
  if (peer === undefined) return undefined
  const around = [...roles.values()].flatMap((role) =>
    role.role.withoutToken === true
      ? (role.networks ?? [])
          .filter((network) => isInNetwork(peer, network))
          .map(({ prefixBits }) => ({ role, prefixBits }))
      : [],
  )
  const [nearest] = around.sort((one, other) => other.prefixBits - one.prefixBits)
  return nearest === undefined ? undefined : { role: nearest.role, caller: { role: nearest.role.name } }
}

const nothing = (certificateNames: readonly string[]): Found => ({
  why: 'no token, no certificate with a role, no role for the address',
  ...(certificateNames.length === 0 ? {} : { facts: { certificateNames } }),
})

/** An address that cannot be read is in no network. */
const isFrom = (peer: IpAddress | undefined, networks: readonly Network[] | undefined): boolean =>
  networks === undefined || (peer !== undefined && networks.some((network) => isInNetwork(peer, network)))

const namesOf = ({ role, tokenName, certificateName }: Caller): Record<string, string> => ({
  role,
  ...(tokenName === undefined ? {} : { tokenName }),
  ...(certificateName === undefined ? {} : { certificateName }),
})
