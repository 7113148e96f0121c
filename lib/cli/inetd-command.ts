/**
 * `backup-agent inetd`: serves whoever xinetd, inetd or systemd has let in.
 *
 * Nothing is written to the descriptors 0, 1 and 2 but the protocol: `client-descriptors.ts`
 * has seen to that before this file was loaded, and the log goes elsewhere.
 */

import { Command, Option } from 'commander'

import { type InheritedAgent, type InheritedDoor, startInherited } from '../agent/index.ts'
import { settingsOf } from '../config/index.ts'
import { BackupError } from '../errors/index.ts'
import { withoutCoreDumps } from './no-core-dumps.ts'
import { openLog } from './open-log.ts'
import { addSettingOptions, configurationOf } from './setting-options.ts'
import { untilStopped } from './until-stopped.ts'
import { parseCount } from './values.ts'

interface InetdOptions {
  readonly wait: boolean
  readonly idleSeconds: number
}

const DEFAULT_IDLE_SECONDS = 300

/** @param openInheritedDoor what inetd opened. @throws BackupError `AGENT_DESCRIPTOR` when there is no socket */
export const inetdCommand = (openInheritedDoor: () => InheritedDoor): Command => {
  const command = new Command('inetd')
    .description('serve the client on descriptor 0, as xinetd, inetd and systemd start it')
    .option('--wait', 'descriptor 0 is the socket that listens (wait = yes, Accept=no): serve all who come', false)
    .addOption(
      new Option('--idle-seconds <N>', 'with --wait: leave when nobody was there for so long')
        .default(DEFAULT_IDLE_SECONDS)
        .argParser(parseCount('seconds', 1)),
    )
  return addSettingOptions(command, ['listen'])
    .addHelpText('after', EXAMPLES)
    .action((options: InetdOptions) => inetd(options, command, openInheritedDoor()))
}

const EXAMPLES = `
Examples, as the server of an xinetd service:
  server_args = inetd --socket /run/mysqld/mysqld.sock                      with wait = no
  server_args = inetd --wait --log file:/var/log/kv-backup-agent/agent.log  with wait = yes

Signals: SIGTERM, SIGINT and SIGHUP take no new work and let a running backup end; a second one cancels it.`

const inetd = async ({ wait, idleSeconds }: InetdOptions, command: Command, door: InheritedDoor): Promise<void> => {
  if (wait !== (door.kind === 'listening')) throw wrongDoor(door)
  const configuration = await configurationOf(command)
  const { log, destination } = await openLog(configuration, { kind: 'syslog' }, true)
  let running: InheritedAgent | undefined
  process.on('uncaughtExceptionMonitor', (error) => {
    // Node prints it to where nobody reads. The reset is for clients that take a FIN for the end of a backup.
    log.fatal({ err: error }, 'bug: the agent dies of it')
    running?.breakOff()
  })
  try {
    const starting = startInherited(door, settingsOf(configuration), {
      idleSeconds,
      log,
      beforeOpening: () => withoutCoreDumps(log),
    })
    const stopped = untilStopped(starting, log)
    running = await starting
    await Promise.race([running.ended, stopped])
    await running.ended
  } catch (error) {
    if (error instanceof BackupError) log.error({ code: error.code, facts: error.facts }, error.message)
    throw error
  } finally {
    await destination.close()
  }
}

const wrongDoor = ({ kind }: InheritedDoor): BackupError =>
  kind === 'listening'
    ? new BackupError(
        'AGENT_DESCRIPTOR',
        'expected a connection on descriptor 0, found a socket that listens',
        {},
        { hint: 'start it as "inetd --wait", or say wait = no (systemd: Accept=yes)' },
      )
    : new BackupError(
        'AGENT_DESCRIPTOR',
        'expected a socket that listens on descriptor 0, found a connection',
        {},
        { hint: 'leave out --wait, or say wait = yes (systemd: Accept=no)' },
      )
