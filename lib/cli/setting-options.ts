/**
 * The options of the agent's commands, made from the schema of the configuration.
 *
 * Commander only gathers the texts: what they mean is read with everything else that the operator
 * says, so that all mistakes are told at once, wherever they stand.
 */

import { type Command, Option } from 'commander'

import {
  type Configuration,
  DEFAULT_CONFIG_FILE,
  optionName,
  readConfiguration,
  SETTING_KEYS,
  type SettingKey,
  settingOf,
} from '../config/index.ts'

/**
 * Adds `--config` and an option for every setting that can be one.
 *
 * @param except settings that mean nothing to this command; the file may say them all the same
 */
export const addSettingOptions = (command: Command, except: readonly SettingKey[] = []): Command => {
  command.addOption(configOption())
  for (const key of SETTING_KEYS) {
    if (settingOf(key).isFileOnly !== true && !except.includes(key)) command.addOption(settingOption(key))
  }
  return command
}

export const configOption = (): Option =>
  new Option('--config <FILE>', `read this configuration file (default: ${DEFAULT_CONFIG_FILE}, if it is there)`)

const settingOption = (key: SettingKey): Option => {
  const { placeholder, help, form, isNegated, defaultText } = settingOf(key)
  const flags = `${optionName(key)} ${placeholder}`.trimEnd()
  const option = new Option(flags, defaultText === undefined ? help : `${help} (${defaultText})`)
  if (isNegated === true || placeholder === '') return option
  // Not `choices()`: that would also refuse, one mistake at a time.
  if (form.choices !== undefined) option.argChoices = [...form.choices]
  const value = settingOf(key).default
  if (value !== undefined) option.default(value, form.show(value))
  return option
}

/** What the options of a command, the environment and the file say together. @throws BackupError `CONFIG_*` */
export const configurationOf = (command: Command): Promise<Configuration> => {
  const options = Object.fromEntries(
    SETTING_KEYS.flatMap((key) => {
      const name = attributeOf(key)
      return command.getOptionValueSource(name) === 'cli' ? [[key, command.getOptionValue(name)]] : []
    }),
  ) as Parameters<typeof readConfiguration>[0]['options']
  const file = command.getOptionValue('config') as string | undefined
  return readConfiguration({ options, environment: process.env, file, workingDirectory: process.cwd() })
}

/** `--spool-dir` is `spoolDir` in commander; `--no-history` is `history`. */
const attributeOf = (key: SettingKey): string => key.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
