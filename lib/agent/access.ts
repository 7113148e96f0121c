/**
 * Who may ask what: decided before anything else is, and before the database hears of it.
 *
 *     request, connection ─▶ which role? ─┬▶ none: AGENT_ACCESS_DENIED, always in the same words
 *                                         └▶ may it do this, of this server, with these options?
 *                                              ├▶ no: AGENT_ACCESS_ROLE, and what it may
 *                                              └▶ a grant: who asks, and which servers it may hear of
 *
 * Without a role in the configuration everybody has every right, as before there were roles. With one,
 * whatever goes wrong here (a file of tokens that cannot be read above all) refuses. Why somebody was
 * refused stands in the log; a stranger is not told what was nearly right.
 *
 * Rules: PROTOCOL.md, "Who may ask".
 */

import { MAIN_INSTANCE, type OptionSet, ROLE_ACTIONS, type RoleAction } from '../config/index.ts'
import { BackupError, type Facts } from '../errors/index.ts'
import type { AgentRequest, CopyRequest } from '../protocol/index.ts'
import { findToken, readTokens, type TokenEntry } from '../tokens/index.ts'
import { chooseInstance, meansServer } from './choose-instance.ts'
import { OPTIONS_KEY, wantedSet } from './choose-options.ts'
import type { Instances } from './instance.ts'
import { type Caller, type CallerChannel, findRole, type NamedRole, type Roles, type ShownToken } from './roles.ts'

export interface Access {
  readonly roles: Roles
  readonly tokensFile: string | undefined
  readonly instances: Instances
  readonly optionSets: Readonly<Record<string, OptionSet>>
  /** Tokens expire by the wall clock. */
  readonly wallClockMs: () => number
}

/** What somebody asks, and the token beside it. */
export interface Asked {
  readonly request: AgentRequest
  readonly token: string | undefined
}

export interface Grant {
  /** Undefined where there are no roles, and for `ping`. */
  readonly caller: Caller | undefined
  /** Whether the caller may hear of backups of this server. Undefined is the one without a name. */
  readonly sees: (instance: string | undefined) => boolean
  /** When the token that was shown ends. */
  readonly expiresMs?: number | undefined
}

const EVERYTHING: Grant = { caller: undefined, sees: () => true }
/** A ping names nothing that could be seen. */
const NOTHING: Grant = { caller: undefined, sees: () => false }

/**
 * @param access undefined where no role is configured
 * @throws BackupError `AGENT_ACCESS_DENIED`, `AGENT_ACCESS_ROLE`; `AGENT_INSTANCE` for who may ask for any server
 */
export const authorise = async (
  { request, token }: Asked,
  channel: CallerChannel,
  access: Access | undefined,
): Promise<Grant> => {
  if (access === undefined) return EVERYTHING
  if (request.action === 'ping') return NOTHING
  const entries = await entriesOf(access)
  const shown: ShownToken | undefined = token === undefined ? undefined : { entry: findToken(entries, token) }
  const found = findRole(access.roles, channel, shown, access.wallClockMs())
  if ('why' in found) throw denied(found.why, found.facts)
  const { role, caller, expiresMs } = found
  checkAction(role, actionOf(request))
  if (meansServer(request)) {
    checkInstance(role, request, access)
    checkOptions(role, request, access)
  }
  const { instances } = role.role
  const sees: Grant['sees'] =
    instances === undefined ? EVERYTHING.sees : (instance) => instances.includes(instance ?? MAIN_INSTANCE)
  return { caller, sees, expiresMs }
}

/** Also for who shows none: a file in which somebody's rights may have ended is not passed over. */
const entriesOf = async ({ tokensFile }: Access): Promise<readonly TokenEntry[]> => {
  try {
    return (tokensFile === undefined ? undefined : await readTokens(tokensFile))?.entries ?? []
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    throw denied(error.message, { hint: error.hint ?? null }, error)
  }
}

/** The action of a request, as a role calls it. */
const actionOf = ({ action }: AgentRequest): RoleAction =>
  action === 'copy from' || action === 'ping' ? 'backup' : action

const checkAction = ({ name, role }: NamedRole, action: RoleAction): void => {
  const allowed = role.actions ?? ROLE_ACTIONS
  if (!allowed.includes(action)) {
    throw notAllowed(name, `does not allow ${action}`, `it allows ${allowed.join(', ')}`, { action })
  }
}

/** A server that is not there and one that is not for this role are the same to it. */
const checkInstance = ({ name, role }: NamedRole, { pairs }: CopyRequest, { instances }: Access): void => {
  if (role.instances === undefined) return
  const chosen = tried(() => chooseInstance(pairs, instances).name ?? MAIN_INSTANCE)
  if (chosen !== undefined && role.instances.includes(chosen)) return
  const own = role.instances.filter((instance) => instance !== MAIN_INSTANCE)
  const isMain = own.length < role.instances.length ? ['the server without a name'] : []
  const names = own.length === 0 ? [] : [`instance=${own.join(', instance=')}`]
  throw notAllowed(name, 'does not allow this server', `it allows ${[...names, ...isMain].join(', or ')}`)
}

const tried = <Value>(work: () => Value): Value | undefined => {
  try {
    return work()
  } catch (error) {
    if (error instanceof BackupError) return undefined
    throw error
  }
}

/** Binary logs are read without a program, and without options. */
const checkOptions = ({ name, role }: NamedRole, request: CopyRequest, { optionSets }: Access): void => {
  if (role.optionSets === undefined || (request.level === 'incremental' && request.increment === undefined)) return
  const wanted = wantedSet(request.pairs, optionSets)
  if (wanted === undefined || (wanted.name !== undefined && role.optionSets.includes(wanted.name))) return
  const allowed = role.optionSets.length === 0 ? 'none' : role.optionSets.join(', ')
  throw notAllowed(name, `does not allow these options (${OPTIONS_KEY})`, `it allows ${allowed}`)
}

const denied = (why: string, facts: Facts = {}, cause?: unknown): BackupError =>
  new BackupError(
    'AGENT_ACCESS_DENIED',
    'this agent serves only clients that it knows, and the request shows nothing by which it knows this one',
    { why, ...facts },
    { cause, hint: 'send a token that is valid (--token-file), or ask the operator of the agent, whose log says more' },
  )

const notAllowed = (role: string, what: string, allowed: string, facts: Facts = {}): BackupError =>
  new BackupError('AGENT_ACCESS_ROLE', `the role ${role} ${what}`, { role, ...facts }, { hint: allowed })
