/**
 * Checks that roles speak of things there are, and that nobody can have two of them by one name.
 *
 * A role that names an instance which is not there would be one that allows less than its
 * writer believes, or, when the instance comes, more. Pure.
 */

import { DEFAULT_TOKENS_FILE } from './agent-settings.ts'
import { networkKey, readNetwork } from './network.ts'
import { MAIN_INSTANCE, ROLE_ACTIONS, type RoleValues } from './role.ts'
import { namesServer } from './check-servers.ts'
import type { Configuration } from './read-configuration.ts'
import type { FileMistake } from './schema-check.ts'

export const findRoleMistakes = (configuration: Configuration): FileMistake[] => {
  const { settings, instances, optionSets, roles } = configuration
  const named = Object.keys(instances)
  const hasMain = named.length === 0 || namesServer(settings)
  const known: Known = {
    actions: ROLE_ACTIONS,
    instances: [...named, ...(hasMain ? [MAIN_INSTANCE] : [])],
    'option-sets': Object.keys(optionSets),
  }
  const all = Object.entries(roles)
  return [
    ...all.flatMap(([name, role]) => [...emptyLists(name, role), ...unknownNames(name, role, known)]),
    ...all.flatMap(([name, role]) => withoutAddresses(name, role)),
    ...twice(all, 'certificates', ({ certificates = [] }) => certificates),
    ...twice(all, 'addresses', (role) => (role['without-token'] === true ? (role.addresses ?? []).map(keyOf) : [])),
    ...unverifiedCertificates(configuration),
    ...tokensWithoutRole(configuration),
  ]
}

type Known = Readonly<Record<'actions' | 'instances' | 'option-sets', readonly string[]>>

/** What each key names, for people. */
const MEANS = { actions: 'action', instances: 'instance', 'option-sets': 'set of options' } as const

const unknownNames = (role: string, values: RoleValues, known: Known): FileMistake[] =>
  (Object.keys(MEANS) as (keyof Known)[]).flatMap((key) =>
    (values[key] ?? [])
      .filter((name) => !known[key].includes(name))
      .map((name) => ({
        path: ['role', role, key],
        message: `${key}: there is no ${MEANS[key]} ${JSON.stringify(name.slice(0, 40))} (there is ${listed(known[key])})`,
        unknown: { name, known: known[key] },
      })),
  )

const listed = (names: readonly string[]): string => (names.length === 0 ? 'none' : names.join(', '))

/** A list without an entry reads like one that was left out, which means the opposite. Without sets a role is a plain one. */
const emptyLists = (role: string, values: RoleValues): FileMistake[] =>
  (['actions', 'instances', 'addresses', 'certificates'] as const)
    .filter((key) => values[key]?.length === 0)
    .map((key) => ({ path: ['role', role, key], message: `${key}: expected at least one entry; leave it out for all` }))

const withoutAddresses = (role: string, values: RoleValues): FileMistake[] =>
  values['without-token'] === true && values.addresses === undefined
    ? [
        {
          path: ['role', role, 'without-token'],
          message: 'without-token: expected addresses beside it, or the role is everybody’s',
        },
      ]
    : []

const keyOf = (address: string): string => {
  const reading = readNetwork(address)
  return 'value' in reading ? networkKey(reading.value) : address
}

/** By one name, one role. */
const twice = (
  roles: readonly (readonly [string, RoleValues])[],
  key: keyof RoleValues,
  namesOf: (values: RoleValues) => readonly string[],
): FileMistake[] => {
  const owners = new Map<string, string>()
  return roles.flatMap(([role, values]) =>
    namesOf(values).flatMap((name): FileMistake[] => {
      const owner = owners.get(name)
      owners.set(name, owner ?? role)
      if (owner === undefined || owner === role) return []
      const what = key === 'addresses' ? 'one of these networks' : JSON.stringify(name)
      return [{ path: ['role', role, key], message: `${key}: ${what} gives [role.${owner}] already` }]
    }),
  )
}

/** A role that nobody can have looks like one that somebody has. */
const unverifiedCertificates = ({ settings, roles }: Configuration): FileMistake[] => {
  if (settings['tls-client-ca'].value !== undefined && settings['tls-clients'].value !== 'none') return []
  return Object.entries(roles)
    .filter(([, { certificates = [] }]) => certificates.length > 0)
    .map(([name]) => ({
      path: ['role', name, 'certificates'],
      message: 'certificates: the agent verifies none of clients; it needs tls-client-ca',
    }))
}

/** Without a role everybody may ask, and whoever has written down where the tokens are does not expect that. */
const tokensWithoutRole = ({ settings, roles }: Configuration): FileMistake[] => {
  const { source, value } = settings['tokens-file']
  // Who writes the usual place down says no more than who leaves it out.
  if (Object.keys(roles).length > 0 || value === DEFAULT_TOKENS_FILE) return []
  const message = 'tokens-file: there is no [role.NAME] that a token could give, and without roles everybody may ask'
  return [{ path: source.from === 'file' ? source.path : [], message }]
}
