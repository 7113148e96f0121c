/**
 * `backup-agent doctor`: would a backup of this host come through, and if not, what is to be done?
 *
 *     CHECK           RESULT  FOUND
 *     engine          ok      mariadb-backup 10.11.19 /usr/bin/mariadb-backup
 *     grants          FAIL    'backup'@'localhost' lacks PROCESS
 *         run on the server, as an administrator: GRANT PROCESS ON *.* TO 'backup'@'localhost';
 *
 * Takes the options of `serve`, so that it looks at the agent that they would start. Exit
 * status 0 when backups can be made, warnings or not; that of a failed backup otherwise.
 */

import { setTimeout as delay } from 'node:timers/promises'
import { Command, Option } from 'commander'

import { pingAgent } from '../client/index.ts'
import { type Configuration, SERVER_NAMING_KEYS, settingsOf } from '../config/index.ts'
import { examine, failedWith, type Finding, ok, type Result, type Server } from '../doctor/index.ts'
import { EXIT } from '../errors/index.ts'
import { readPassword } from './password.ts'
import { columns, printable, runReported } from './report.ts'
import { addSettingOptions, configurationOf } from './setting-options.ts'
import { parseCount } from './values.ts'

interface DoctorOptions {
  readonly user?: string
  readonly passwordFile?: string
  readonly sampleSeconds: number
  readonly json?: boolean
}

/** An agent on this host answers at once or not at all. */
const PING_SECONDS = 5

export const doctorCommand = (): Command => {
  const command = new Command('doctor')
    .description('look at everything that a backup of this host depends on; change nothing')
    .option('--json', 'print it as JSON')
    .option('--user <U>', 'database user to try; else that of --defaults-file')
    .option('--password-file <F>', "file with its password; else the environment's BACKUP_PASSWORD")
    .addOption(
      new Option('--sample-seconds <N>', 'how long to watch what the server writes')
        .default(2)
        .argParser(parseCount('seconds', 0)),
    )
  return addSettingOptions(command)
    .addHelpText('after', EXAMPLES)
    .action((options: DoctorOptions, command: Command) =>
      runReported({
        json: options.json ?? false,
        stream: process.stdout,
        work: (signal) => look(options, command, signal),
        asJson: (findings) => ({
          status: worst(findings) === 'fail' ? 'FAILED' : 'OK',
          worst: worst(findings),
          checks: findings,
        }),
        forPeople,
        exitStatus: (findings) => (worst(findings) === 'fail' ? EXIT.failed : EXIT.ok),
      }),
    )
}

const EXAMPLES = `
Examples:
  runuser -u mysql -- backup-agent doctor --user backup --password-file ./password
      as the agent's own user: what root may read says nothing about what the agent may
  backup-agent doctor --json | jq -r '.checks[] | select(.result == "fail") | .check'

Exit status: 0 when backups can be made, also with warnings; 4 when something would make them fail.`

const look = async (options: DoctorOptions, command: Command, signal: AbortSignal): Promise<Finding[]> => {
  const { user, passwordFile, sampleSeconds } = options
  const password = user === undefined ? undefined : await readPassword(passwordFile)
  const configuration = await configurationOf(command).catch((error: unknown) => failedWith('configuration', error))
  // Without it nobody knows what to look at.
  if ('check' in configuration) return [configuration]
  const findings = await examine({
    settings: settingsOf(configuration),
    servers: serversOf(configuration),
    login: { user, password },
    ping: (address) => pingAgent({ ...address, connectSeconds: PING_SECONDS, silenceSeconds: PING_SECONDS, signal }),
    nowMs: Date.now(),
    sample: async () => {
      const startedMs = performance.now()
      await delay(sampleSeconds * 1000, undefined, { signal })
      return (performance.now() - startedMs) / 1000
    },
  })
  return [ok('configuration', configuration.file?.path ?? 'no file; options and defaults'), ...findings]
}

/** The one that the top of the configuration describes, if it does; and those with a name. */
const serversOf = (configuration: Configuration): Server[] => {
  const settings = settingsOf(configuration)
  const named = Object.entries(settings.instances ?? {}).map(([instance, server]) => ({ instance, settings: server }))
  const isTopOne = SERVER_NAMING_KEYS.some((key) => configuration.settings[key].value !== undefined)
  return [...(isTopOne || named.length === 0 ? [{ settings }] : []), ...named]
}

const ORDER: readonly Result[] = ['ok', 'warn', 'fail']

const worst = (findings: readonly Finding[]): Result =>
  ORDER[Math.max(0, ...findings.map(({ result }) => ORDER.indexOf(result)))] ?? 'ok'

const HEADINGS = ['CHECK', 'RESULT', 'FOUND']
const INDENT = '    '

const forPeople = (findings: readonly Finding[]): string => {
  const rows = findings.map(({ check, instance, result, found }) => [
    instance === undefined ? check : `${instance}: ${check}`,
    result === 'fail' ? 'FAIL' : result,
    found,
  ])
  const [heading = '', ...lines] = columns(HEADINGS, rows).trimEnd().split('\n')
  const told = lines.flatMap((line, at) => {
    const todo = findings[at]?.todo
    return todo === undefined ? [line] : [line, `${INDENT}${printable(todo)}`]
  })
  const bad = findings.filter(({ result }) => result === 'fail').length
  const end = bad === 0 ? 'backups can be made' : `${bad} of these would make backups fail`
  return `${[heading, ...told, '', end].join('\n')}\n`
}
