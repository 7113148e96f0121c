/**
 * Puts the configuration together, and says where each value came from.
 *
 *     options ▶ environment ▶ file ▶ default        the first that says something is believed
 *
 * Every mistake in any of them is told, all at once. The file is `--config FILE`, else what
 * KV_BACKUP_AGENT_CONFIG names, else the usual one if it is there.
 */

import { lstatSync } from 'node:fs'

import { findRoleMistakes } from './check-roles.ts'
import { findServerMistakes } from './check-servers.ts'
import { findTlsMistakes } from './check-tls.ts'
import type { ConfigFile } from './config-file.ts'
import { type Environment, readEnvironment } from './environment.ts'
import { type Mistake, refuseMistakes } from './mistakes.ts'
import type { OptionSet } from './option-set.ts'
import type { RoleValues } from './role.ts'
import {
  CONFIG_VARIABLE,
  environmentName,
  optionName,
  SERVER_KEYS,
  SETTING_KEYS,
  type SettingKey,
  type SettingValue,
  type SettingValues,
  settingOf,
} from './schema.ts'
import type { FileMistake, FileValues } from './schema-check.ts'
import { ownStateDirectory } from './state-directory.ts'

export const DEFAULT_CONFIG_FILE = '/etc/kv-backup-agent/agent.toml'

export interface ConfigurationSources {
  /** What the command line says, as texts; a flag is true or false. */
  readonly options: Readonly<Partial<Record<SettingKey, string | boolean>>>
  readonly environment: Environment
  /** `--config`; must be there. */
  readonly file?: string | undefined
  /** From where a relative path of the command line starts. */
  readonly workingDirectory: string
  /** What is read when nobody names a file. */
  readonly defaultFile?: string
}

export type Source =
  | { readonly from: 'default' }
  | { readonly from: 'file'; readonly path: readonly string[] }
  | { readonly from: 'environment'; readonly name: string }
  | { readonly from: 'option'; readonly name: string }

/** A value that is in effect; undefined where nobody says anything and there is no default. */
export interface Known<Value> {
  readonly value: Value
  readonly source: Source
}

export type Effective<Key extends SettingKey = SettingKey> = {
  readonly [One in Key]: Known<SettingValue<One> | undefined>
}

export interface Configuration {
  readonly file: Pick<ConfigFile, 'path' | 'text'> | undefined
  readonly settings: Effective
  /** An instance takes nothing over from the top: half of another server's description would name neither. */
  readonly instances: Readonly<Record<string, Effective>>
  readonly binlogDirectories: Known<readonly string[]>
  readonly optionSets: Readonly<Record<string, OptionSet>>
  readonly roles: Readonly<Record<string, RoleValues>>
}

/** @throws BackupError `CONFIG_FILE`, `CONFIG_INVALID` with all mistakes */
export const readConfiguration = async (sources: ConfigurationSources): Promise<Configuration> => {
  const { options, environment, workingDirectory, defaultFile = DEFAULT_CONFIG_FILE } = sources
  const named = sources.file ?? (environment[CONFIG_VARIABLE] || undefined)
  const { file, values, mistakes } = await readFile(named ?? defaultFile, named !== undefined)
  const fromEnvironment = readEnvironment(environment)
  mistakes.push(...fromEnvironment.mistakes)
  const fromOptions = readOptions(options, workingDirectory)
  mistakes.push(...fromOptions.mistakes)

  const settings = Object.fromEntries(
    SETTING_KEYS.map((key) => {
      if (fromOptions.values.has(key))
        return [key, known(fromOptions.values.get(key), { from: 'option', name: optionName(key) })]
      if (fromEnvironment.values.has(key)) {
        return [key, known(fromEnvironment.values.get(key), { from: 'environment', name: environmentName(key) })]
      }
      return [key, valueOfFile(values.values, key, [])]
    }),
  ) as unknown as Effective
  const instances = Object.fromEntries(
    Object.entries(values.instances).map(([name, own]) => [
      name,
      Object.fromEntries(
        SERVER_KEYS.map((key) => [key, valueOfFile(own, key, ['instance', name])]),
      ) as unknown as Effective,
    ]),
  )
  const binlogDirectories: Known<readonly string[]> =
    values.binlogDirectories === undefined
      ? known([], { from: 'default' })
      : known(values.binlogDirectories, { from: 'file', path: ['allow', 'binlog-directories'] })
  const { optionSets, roles } = values
  const configuration = { file, settings, instances, binlogDirectories, optionSets, roles }
  if (mistakes.length === 0) {
    const found = [
      ...findServerMistakes(configuration),
      ...findRoleMistakes(configuration),
      ...findTlsMistakes(configuration),
    ]
    mistakes.push(...(await placed(file, found)))
  }
  await refuseMistakes(mistakes)
  return configuration
}

const known = <Value>(value: Value, source: Source): Known<Value> => ({ value, source })

const valueOfFile = (values: SettingValues, key: SettingKey, table: readonly string[]): Known<unknown> => {
  const value = values[key]
  if (value !== undefined) return known(value, { from: 'file', path: [...table, key] })
  return known(key === 'state-dir' ? ownStateDirectory() : settingOf(key).default, { from: 'default' })
}

const NO_VALUES: FileValues = { values: {}, instances: {}, binlogDirectories: undefined, optionSets: {}, roles: {} }

interface FileReading {
  readonly file: ConfigFile | undefined
  readonly values: FileValues
  readonly mistakes: Mistake[]
}

/** Whoever has no file pays for no parser and no checker. */
const readFile = async (path: string, isWanted: boolean): Promise<FileReading> => {
  if (!isWanted && !isThere(path)) return { file: undefined, values: NO_VALUES, mistakes: [] }
  const { readConfigFile } = await import('./config-file.ts')
  const file = await readConfigFile(path, isWanted)
  if (file === undefined) return { file, values: NO_VALUES, mistakes: [] }
  if (file.mistakes.length > 0) return { file, values: NO_VALUES, mistakes: [...file.mistakes] }
  const { checkFile } = await import('./schema-check.ts')
  const { file: values, mistakes } = checkFile(file.table)
  return { file, values, mistakes: await placed(file, mistakes) }
}

/** One that we may not look at is there: the reason is told by whoever opens it. A look takes less than to wait for one. */
const isThere = (path: string): boolean => {
  try {
    lstatSync(path)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code !== 'ENOENT' && code !== 'ENOTDIR'
  }
}

const placed = async (file: ConfigFile | undefined, mistakes: readonly FileMistake[]): Promise<Mistake[]> => {
  if (mistakes.length === 0) return []
  const { findPlace } = await import('./config-file-place.ts')
  const found = mistakes.map((mistake) => ({ mistake, place: file && findPlace(file.text, mistake.path) }))
  found.sort((one, other) => (one.place?.line ?? 0) - (other.place?.line ?? 0))
  return found.map(({ mistake: { message, unknown }, place }) => {
    const where = place === undefined ? (file?.path ?? 'options') : `${file?.path}:${place.line}:${place.column}`
    return { where, message, ...(unknown === undefined ? {} : { unknown }) }
  })
}

const readOptions = (
  options: ConfigurationSources['options'],
  workingDirectory: string,
): { readonly values: ReadonlyMap<SettingKey, unknown>; readonly mistakes: readonly Mistake[] } => {
  const values = new Map<SettingKey, unknown>()
  const mistakes: Mistake[] = []
  for (const key of SETTING_KEYS) {
    const given = options[key]
    if (given === undefined) continue
    if (typeof given === 'boolean') {
      values.set(key, given)
      continue
    }
    const reading = settingOf(key).form.fromText(given, { workingDirectory })
    if ('value' in reading) values.set(key, reading.value)
    else mistakes.push({ where: optionName(key), message: reading.problem })
  }
  return { values, mistakes }
}

/** Where a value of the file stands, for people: `/etc/kv-backup-agent/agent.toml:12`. */
export const placeOf = async ({ file }: Configuration, path: readonly string[]): Promise<string> => {
  if (file === undefined) return 'file'
  const { findPlace } = await import('./config-file-place.ts')
  const place = findPlace(file.text, path)
  return place === undefined ? file.path : `${file.path}:${place.line}`
}
