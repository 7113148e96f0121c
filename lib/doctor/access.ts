/**
 * Who may ask this agent: roles, and the tokens that give them.
 *
 *     access   is there a role, and if not, who reaches the port?
 *     tokens   can the file be read and believed; has one expired, will one soon, does one mean nothing?
 *
 * With roles and a file of tokens that cannot be used the agent serves nobody, so that is a failure.
 */

import type { AgentSettings } from '../config/index.ts'
import { readTokens, isExpired, type TokenEntry } from '../tokens/index.ts'
import { type Finding, fail, failedWith, ok, warn } from './finding.ts'

type AccessSettings = Pick<AgentSettings, 'host' | 'roles' | 'tokensFile'>

/** Time to make a new one, and to bring it to its client. */
const SOON_MS = 30 * 24 * 3_600_000
const LOOPBACK = /^(?:127\.|::1$|localhost$)/

export const checkAccess = async (settings: AccessSettings, nowMs: number): Promise<Finding[]> => {
  const roles = Object.keys(settings.roles ?? {})
  const access = accessFinding(settings.host, roles)
  if (settings.tokensFile === undefined) return [access]
  try {
    const file = await readTokens(settings.tokensFile)
    if (roles.length === 0) return file === undefined ? [access] : [uselessTokens(settings.tokensFile)]
    return [access, tokensFinding(file?.entries, settings, nowMs)]
  } catch (error) {
    return [access, failedWith('tokens', error)]
  }
}

const accessFinding = (host: string, roles: readonly string[]): Finding => {
  if (roles.length > 0) return ok('access', `roles: ${roles.join(', ')}`)
  return LOOPBACK.test(host)
    ? ok('access', 'no roles: whoever reaches the port may ask, from this host')
    : warn(
        'access',
        `no roles: whoever reaches ${host} may ask`,
        'README, "Who may ask": write a [role.NAME], then backup-agent token add',
      )
}

const uselessTokens = (path: string): Finding =>
  warn(
    'access',
    `there are tokens in ${path}, and no role: everybody may ask, with a token or without`,
    'write a [role.NAME] into the configuration, or remove the file',
  )

const tokensFinding = (
  entries: readonly TokenEntry[] | undefined,
  { roles = {}, tokensFile }: AccessSettings,
  nowMs: number,
): Finding => {
  const valid = (entries ?? []).filter((entry) => entry.revokedMs === undefined && !isExpired(entry, nowMs))
  const lost = valid.filter(({ role }) => !Object.hasOwn(roles, role))
  const soon = valid.filter(({ expiresMs }) => expiresMs !== undefined && expiresMs - nowMs < SOON_MS)
  const expired = (entries ?? []).filter((entry) => entry.revokedMs === undefined && isExpired(entry, nowMs))
  const facts = { tokens: entries?.length ?? 0, valid: valid.length, soon: soon.length, expired: expired.length }
  const isOtherWay = Object.values(roles).some(
    ({ certificates = [], withoutToken }) => certificates.length > 0 || withoutToken === true,
  )
  if (valid.length === lost.length && !isOtherWay) {
    return fail('tokens', `no token in ${tokensFile} gives a role, so nobody may ask`, ADD, facts)
  }
  if (lost.length > 0) {
    return warn(
      'tokens',
      `${named(lost)}: the role is not in the configuration, so the token is refused`,
      `write the role, or revoke the token: backup-agent token revoke ${lost[0]?.name}`,
      facts,
    )
  }
  if (soon.length > 0) return warn('tokens', `${named(soon)}: will expire within 30 days`, ADD, facts)
  if (expired.length > 0) {
    return warn('tokens', `${named(expired)}: expired`, 'make a new one, or revoke it, so that this is silent', facts)
  }
  return ok('tokens', `${valid.length} valid, in ${tokensFile}`, facts)
}

const ADD = 'backup-agent token add NAME --role ROLE, and give it to the client'

const named = (entries: readonly TokenEntry[]): string => entries.map(({ name }) => name).join(', ')
