/**
 * Checks that the servers of a configuration can be told apart, and each is somebody.
 *
 * What a client names must mean one server: a path that two of them answer to would give one
 * client the other's backup. Pure.
 */

import type { Configuration, Effective } from './read-configuration.ts'
import { SERVER_NAMING_KEYS, type SettingKey } from './schema.ts'
import type { FileMistake } from './schema-check.ts'

/** Whether the top of the configuration says which server it means; without instances it need not. */
export const namesServer = (server: Effective): boolean =>
  SERVER_NAMING_KEYS.some((key) => server[key].value !== undefined)

export const findServerMistakes = ({ settings, instances }: Configuration): FileMistake[] => {
  const mistakes: FileMistake[] = []
  const named = Object.entries(instances)
  for (const [name, server] of named) {
    if (namesServer(server)) continue
    const message = `[instance.${name}] does not say which server it is: it needs one of ${SERVER_NAMING_KEYS.join(', ')}`
    mistakes.push({ path: ['instance', name], message })
  }
  if (named.length > 0) mistakes.push(...shared(settings, named))
  return mistakes
}

/** One data directory, one server; one socket, one server. An option file may be a login that several have. */
const UNIQUE = ['socket', 'datadir', 'directory'] as const satisfies SettingKey[]

const shared = (top: Effective, named: readonly (readonly [string, Effective])[]): FileMistake[] => {
  const mistakes: FileMistake[] = []
  const seen = new Map<string, string>()
  const claim = (owner: string, path: readonly string[], what: string, value: string): void => {
    const other = seen.get(`${what} ${value}`)
    if (other === undefined) seen.set(`${what} ${value}`, owner)
    else if (other !== owner) mistakes.push({ path, message: `${what} ${value} belongs to ${other} already` })
  }
  for (const [name, server] of [['', top] as const, ...named]) {
    const owner = name === '' ? 'the top of the configuration' : `[instance.${name}]`
    const table = name === '' ? [] : ['instance', name]
    for (const key of UNIQUE) {
      const { value } = server[key]
      if (value !== undefined) claim(owner, [...table, key], key === 'socket' ? 'path' : key, value)
    }
    for (const path of server['known-as'].value ?? []) claim(owner, [...table, 'known-as'], 'path', path)
  }
  return mistakes
}
