/**
 * `backup-agent serve`: listens, and serves until it is told to stop.
 *
 * Turns options into settings and signals into orders. Standard output stays empty.
 */

import { Command } from 'commander'

import { startAgent } from '../agent/index.ts'
import { settingsOf } from '../config/index.ts'
import { withoutCoreDumps } from './no-core-dumps.ts'
import { openLog } from './open-log.ts'
import { reloadOnHangup } from './reload-on-hangup.ts'
import { takeServiceEnvironment } from './service-environment.ts'
import { ServiceNotices, serving } from './service-notices.ts'
import { addSettingOptions, configurationOf } from './setting-options.ts'
import { untilStopped } from './until-stopped.ts'

export const serveCommand = (): Command =>
  addSettingOptions(
    new Command('serve').description('listen, and serve one backup of a server at a time until SIGTERM'),
  )
    .addHelpText('after', SERVE_EXAMPLES)
    .action((_options: object, command: Command) => serve(command))

const SERVE_EXAMPLES = `
Examples:
  backup-agent serve
      for the MariaDB or MySQL server of this host, to clients on this host
  backup-agent serve --socket /run/mysqld/mysqld.sock --defaults-file /etc/kv-backup-agent/login.cnf
      the login stays on this host; clients send none
  backup-agent serve --directory /srv/snapshot/mysql
      nothing installed: hands out a stopped server's directory

Signals: SIGTERM and SIGINT take no new work and let a running backup end, which can be asked for and cancelled until
then; a second one cancels it. SIGHUP reads the configuration again: new connections get it, running backups go on as
they began.
systemd: takes the sockets of a socket unit (Accept=no) in place of --listen, and tells when it is ready and alive
(Type=notify, WatchdogSec=; NotifyAccess=all).
Log: JSON lines; readable ones where standard error is a terminal.`

const serve = async (command: Command): Promise<void> => {
  const service = takeServiceEnvironment(process.env, process.pid)
  const configuration = await configurationOf(command)
  const wasTerminal = process.stderr.isTTY
  const { log, destination } = await openLog(configuration, { kind: 'stderr' })
  void withoutCoreDumps(log)
  const notices = new ServiceNotices(service, log)
  let isStopping = false
  try {
    const starting = startAgent(settingsOf(configuration), log, service.descriptors)
    // Before the agent says that it listens: from then on it may be told to stop.
    const stopped = untilStopped(starting, log, {
      signals: ['SIGTERM', 'SIGINT'],
      onStop: () => {
        isStopping = true // it may accept no more, and lives
        notices.stopping('a running backup may end')
      },
    })
    reloadOnHangup({ starting, command, configuration, log, notices, wasTerminal })
    const agent = await starting
    if (!isStopping) notices.ready(serving(agent))
    notices.watch(async () => isStopping || (await agent.isAccepting()))
    await stopped
  } finally {
    await notices.close()
    await destination.close()
  }
}
