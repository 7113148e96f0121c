/**
 * Turns a configuration into the settings that an agent is started with.
 *
 * Where a value came from is forgotten here: the agent, and whoever uses the library, knows settings alone.
 */

import { type AgentSettings, DEFAULT_SECONDS, type Deadlines, type ServerSettings } from './agent-settings.ts'
import type { Configuration, Effective } from './read-configuration.ts'
import { roleOf } from './role.ts'
import type { SettingKey } from './schema.ts'

export const settingsOf = ({
  settings,
  instances,
  binlogDirectories,
  optionSets,
  roles,
}: Configuration): AgentSettings => {
  const value = <Key extends SettingKey>(key: Key): NonNullable<Effective[Key]['value']> => {
    const found = settings[key].value
    if (found === undefined || found === null) throw new Error(`bug: ${key} has no default`)
    return found as NonNullable<Effective[Key]['value']>
  }
  return {
    ...value('listen'),
    ...tlsOf(settings),
    insecure: value('insecure'),
    ...serverOf(settings),
    spoolDirectory: value('spool-dir'),
    spoolBytes: value('spool-bytes'),
    spillBytes: value('spill-bytes'),
    memoryBytes: value('memory-bytes'),
    ...(value('history') ? { stateDirectory: value('state-dir') } : {}),
    seconds: secondsOf(settings),
    connections: {
      all: value('connections'),
      perSource: value('connections-per-source'),
      unknown: value('connections-unknown'),
    },
    instances: Object.fromEntries(Object.entries(instances).map(([name, server]) => [name, serverOf(server)])),
    allow: { binlogDirectories: binlogDirectories.value },
    optionSets,
    roles: Object.fromEntries(Object.entries(roles).map(([name, role]) => [name, roleOf(role)])),
    tokensFile: value('tokens-file'),
  }
}

const tlsOf = (settings: Effective): Pick<AgentSettings, 'tls'> => {
  const [certificate, key] = [settings['tls-cert'].value, settings['tls-key'].value]
  if (certificate === undefined || key === undefined) return {}
  const [clientAuthorities, clients] = [settings['tls-client-ca'].value, settings['tls-clients'].value]
  return {
    tls: {
      certificate,
      key,
      ...(clientAuthorities === undefined ? {} : { clientAuthorities }),
      ...(clients === undefined ? {} : { clients }),
    },
  }
}

const serverOf = (server: Effective): ServerSettings => {
  const { directory, socket, datadir } = server
  const defaultsFile = server['defaults-file'].value
  return {
    engine: server.engine.value ?? 'auto',
    ...(directory.value === undefined ? {} : { directory: directory.value }),
    ...(socket.value === undefined ? {} : { socket: socket.value }),
    ...(defaultsFile === undefined ? {} : { defaultsFile }),
    ...(datadir.value === undefined ? {} : { datadir: datadir.value }),
    knownAs: server['known-as'].value ?? [],
    ...(server['host-login'].value === true ? { hostLogin: true } : {}),
  }
}

/** `lockWait` is `lock-wait-seconds`. */
const secondsOf = (settings: Effective): Deadlines => {
  const names = Object.keys(DEFAULT_SECONDS) as (keyof Deadlines)[]
  return Object.fromEntries(names.map((name) => [name, settings[deadlineKey(name)].value])) as unknown as Deadlines
}

type Kebab<Text extends string> = Text extends `${infer Head}Wait` ? `${Head}-wait` : Text
export type DeadlineKey = `${Kebab<keyof Deadlines>}-seconds`

const deadlineKey = (name: keyof Deadlines): DeadlineKey =>
  `${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}-seconds` as DeadlineKey
