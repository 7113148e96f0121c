/**
 * `backup-agent config`: what is in effect, and who said so.
 *
 *     SETTING       VALUE             FROM
 *     listen        127.0.0.1:25300   default
 *     spool-dir     /srv/spool        /etc/kv-backup-agent/agent.toml:3
 *     hang-seconds  60                KV_BACKUP_AGENT_HANG_SECONDS
 *     log-level     debug             --log-level
 *
 * Takes the options of `serve`, so that a command line can be tried before it is used. Every mistake
 * is told. There is nothing secret to be shown: a login stands in a file that is only named here.
 */

import { Command } from 'commander'

import {
  type Configuration,
  type Effective,
  type Known,
  placeOf,
  refuseExposure,
  SERVER_KEYS,
  SETTING_KEYS,
  type SettingKey,
  settingOf,
  settingsOf,
  type Source,
} from '../config/index.ts'
import { columns, runReported } from './report.ts'
import { addSettingOptions, configurationOf } from './setting-options.ts'

interface Line {
  readonly name: string
  /** As people read it; empty where there is none. */
  readonly shown: string
  /** As the agent uses it. */
  readonly value: unknown
  readonly from: string
}

interface Report {
  readonly file: string | undefined
  readonly settings: readonly Line[]
  readonly instances: Readonly<Record<string, readonly Line[]>>
  readonly allow: readonly Line[]
  readonly options: Readonly<Record<string, readonly Line[]>>
  readonly roles: Readonly<Record<string, readonly Line[]>>
}

export const configCommand = (): Command =>
  addSettingOptions(
    new Command('config')
      .description('print every setting that is in effect, and where it comes from; or all mistakes')
      .option('--json', 'print it as JSON'),
  )
    .addHelpText('after', EXAMPLES)
    .action(({ json = false }: { json?: boolean }, command: Command) =>
      runReported({
        json,
        stream: process.stdout,
        work: async () => {
          const configuration = await configurationOf(command)
          refuseExposure(settingsOf(configuration))
          return reportOf(configuration)
        },
        asJson: ({ file, settings, instances, allow, options, roles }) => ({
          status: 'OK',
          file: file ?? null,
          settings: asObject(settings),
          instances: eachAsObject(instances),
          allow: asObject(allow),
          options: eachAsObject(options),
          roles: eachAsObject(roles),
        }),
        forPeople,
      }),
    )

const EXAMPLES = `
Examples:
  backup-agent config
      as the agent that is started without options would be
  backup-agent config --config ./agent.toml --json | jq -r '.settings."spool-dir".value'`

const reportOf = async (configuration: Configuration): Promise<Report> => {
  const { file, settings, instances, binlogDirectories, optionSets, roles } = configuration
  const line = async (name: string, { value, source }: Known<unknown>, shown: string): Promise<Line> => ({
    name,
    shown: value === undefined ? '' : shown,
    value: value ?? null,
    from: await sourceText(configuration, source),
  })
  const lines = (effective: Effective, keys: readonly SettingKey[]): Promise<Line[]> =>
    Promise.all(keys.map((key) => line(key, effective[key], show(key, effective[key].value))))
  /** Of a table that stands in the file alone: what it says, and nothing of what it leaves out. */
  const ofTable =
    (kind: 'options' | 'role', separator: string) =>
    (name: string, table: object): Promise<Line[]> =>
      Promise.all(
        Object.entries(table).map(([key, value]) =>
          line(key, { value, source: { from: 'file', path: [kind, name, key] } }, [value].flat().join(separator)),
        ),
      )
  return {
    file: file?.path,
    settings: await lines(settings, SETTING_KEYS),
    instances: await mapped(instances, (_, server) => lines(server, SERVER_KEYS)),
    allow: [await line('binlog-directories', binlogDirectories, binlogDirectories.value.join(', '))],
    options: await mapped(optionSets, ofTable('options', ' ')),
    roles: await mapped(roles, ofTable('role', ', ')),
  }
}

const show = (key: SettingKey, value: unknown): string => (value === undefined ? '' : settingOf(key).form.show(value))

const sourceText = (configuration: Configuration, source: Source): Promise<string> | string => {
  switch (source.from) {
    case 'default':
      return 'default'
    case 'file':
      return placeOf(configuration, source.path)
    case 'environment':
    case 'option':
      return source.name
  }
}

const mapped = async <In, Out>(
  from: Readonly<Record<string, In>>,
  to: (name: string, value: In) => Promise<Out>,
): Promise<Record<string, Out>> =>
  Object.fromEntries(await Promise.all(Object.entries(from).map(async ([name, one]) => [name, await to(name, one)])))

const asObject = (lines: readonly Line[]): Record<string, { value: unknown; from: string }> =>
  Object.fromEntries(lines.map(({ name, value, from }) => [name, { value, from }]))

const eachAsObject = (parts: Readonly<Record<string, readonly Line[]>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(parts).map(([name, lines]) => [name, asObject(lines)]))

const HEADINGS = ['SETTING', 'VALUE', 'FROM']

const forPeople = ({ file, settings, instances, allow, options, roles }: Report): string => {
  const parts: [string, readonly Line[]][] = [
    ['', settings],
    ...titled('instance', instances),
    ['[allow]', allow],
    ...titled('options', options),
    ...titled('role', roles),
  ]
  const rows = parts.flatMap(([title, lines]) => [
    ...(title === '' ? [] : [[], [title]]),
    ...lines.map(({ name, shown, from }) => [name, shown === '' ? '-' : shown, from]),
  ])
  return `${file === undefined ? 'no configuration file' : `configuration file ${file}`}\n\n${columns(HEADINGS, rows)}`
}

const titled = (kind: string, parts: Readonly<Record<string, readonly Line[]>>): [string, readonly Line[]][] =>
  Object.entries(parts).map(([name, lines]) => [`[${kind}.${name}]`, lines])
