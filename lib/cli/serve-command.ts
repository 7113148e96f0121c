/**
 * `backup-agent serve`: listens, and serves until it is told to stop.
 *
 * Turns options into settings and signals into orders. Standard output stays empty:
 * the log is on standard error.
 */

import { Command } from 'commander'

import { startAgent } from '../agent/index.ts'
import { settingsOf } from '../config/index.ts'
import { createLogger } from '../log/index.ts'
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
  backup-agent serve --socket /run/mysqld/mysqld.sock --defaults-file /etc/backup-agent/login.cnf
      the login stays on this host; clients send none
  backup-agent serve --directory /srv/snapshot/mysql
      nothing installed: hands out a stopped server's directory

Signals: SIGTERM, SIGINT and SIGHUP take no new work and let a running backup end, which can be asked for and cancelled
until then; a second one cancels it.
Log: JSON lines on standard error, readable ones on a terminal.`

const serve = async (command: Command): Promise<void> => {
  const configuration = await configurationOf(command)
  const level = configuration.settings['log-level'].value ?? 'info'
  const log = await createLogger({ level, name: 'backup-agent', pretty: process.stderr.isTTY })
  const settings = settingsOf(configuration)
  const starting = startAgent(settings, log)
  // Before the agent says that it listens: from then on it may be told to stop.
  const stopped = untilStopped(starting, log)
  await starting
  await stopped
}
