/**
 * `backup-agent serve`: listens, and serves until it is told to stop.
 *
 * Turns options into settings and signals into orders. Standard output stays empty:
 * the log is on standard error.
 */

import { Command, Option } from 'commander'

import { startAgent } from '../agent/index.ts'
import { type AgentSettings, DEFAULT_HOST, DEFAULT_PORT } from '../config/index.ts'
import { createLogger } from '../log/index.ts'
import { type AgentOptions, addAgentOptions, settingsOf } from './agent-options.ts'
import { untilStopped } from './until-stopped.ts'
import { type Address, parseAddress } from './values.ts'

interface ServeOptions extends AgentOptions {
  readonly listen: Address
}

export const serveCommand = (): Command => {
  const command = new Command('serve')
    .description('listen, and serve one backup at a time until SIGTERM')
    .addOption(
      new Option('--listen <HOST:PORT>', 'address to listen on; port 0 lets the system choose')
        .default({ host: DEFAULT_HOST, port: DEFAULT_PORT }, `${DEFAULT_HOST}:${DEFAULT_PORT}`)
        .argParser(parseAddress()),
    )
  return addAgentOptions(command).addHelpText('after', SERVE_EXAMPLES).action(serve)
}

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

const serve = async (options: ServeOptions): Promise<void> => {
  const log = await createLogger({ level: options.logLevel, name: 'backup-agent', pretty: process.stderr.isTTY })
  const settings: AgentSettings = { ...options.listen, ...settingsOf(options) }
  const starting = startAgent(settings, log)
  // Before the agent says that it listens: from then on it may be told to stop.
  const stopped = untilStopped(starting, log)
  await starting
  await stopped
}
