/**
 * What the environment says: `KV_BACKUP_AGENT_SPOOL_DIR=/srv/spool`.
 *
 * Only names with the agent's own prefix are looked at; one that means nothing is a mistake, for it was
 * meant to mean something. An empty value is none: that is how service managers take a variable back.
 */

import {
  CONFIG_VARIABLE,
  environmentName,
  isEnvironmentName,
  SETTING_KEYS,
  type SettingKey,
  settingOf,
} from './schema.ts'
import type { Mistake } from './mistakes.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export interface EnvironmentReading {
  readonly values: ReadonlyMap<SettingKey, unknown>
  readonly mistakes: readonly Mistake[]
}

export const readEnvironment = (environment: Environment): EnvironmentReading => {
  const keys = new Map(
    SETTING_KEYS.filter((key) => !settingOf(key).isFileOnly).map((key) => [environmentName(key), key]),
  )
  const values = new Map<SettingKey, unknown>()
  const mistakes: Mistake[] = []
  for (const [name, text] of Object.entries(environment)) {
    if (!isEnvironmentName(name) || name === CONFIG_VARIABLE) continue
    const key = keys.get(name)
    if (key === undefined) {
      const unknown = { name, known: [...keys.keys(), CONFIG_VARIABLE] }
      mistakes.push({ where: name, message: 'no such variable', unknown })
    } else if (text !== undefined && text !== '') {
      const reading = settingOf(key).form.fromText(text)
      if ('value' in reading) values.set(key, reading.value)
      else mistakes.push({ where: name, message: reading.problem })
    }
  }
  return { values, mistakes }
}
