/**
 * The command line of `backup-agent`.
 *
 * Turns options into settings and signals into orders. Standard output stays empty:
 * the log is on standard error.
 */

import { Command, Option } from 'commander'

import { type RunningAgent, startAgent } from '../agent/index.ts'
import {
  type AgentSettings,
  DEFAULT_HOST,
  DEFAULT_MEMORY_BYTES,
  DEFAULT_PORT,
  DEFAULT_SECONDS,
  DEFAULT_SPILL_BYTES,
  DEFAULT_SPOOL_BYTES,
  DEFAULT_SPOOL_DIRECTORY,
  ENGINE_CHOICES,
  type Deadlines,
  type EngineChoice,
  ownStateDirectory,
  PRODUCT_VERSION,
  STATE_DIRECTORY_RULE,
} from '../config/index.ts'
import { createLogger, LOG_LEVELS, type Logger, type LogLevel } from '../log/index.ts'
import { historyCommand } from './history-command.ts'
import { type Address, formatBytes, parseAddress, parseCount } from './values.ts'

interface ServeOptions extends Readonly<Record<`${keyof Deadlines}Seconds`, number>> {
  readonly listen: Address
  readonly engine: EngineChoice
  readonly directory?: string
  readonly socket?: string
  readonly defaultsFile?: string
  readonly datadir?: string
  readonly spoolDir: string
  readonly spoolBytes: number
  readonly spillBytes: number
  readonly memoryBytes: number
  readonly stateDir?: string
  /** False for `--no-history`. */
  readonly history: boolean
  readonly logLevel: LogLevel
}

/** Below this not one chunk of an xbstream fits. */
const MIN_MEMORY_BYTES = 1024 * 1024

export const agentProgram = (): Command => {
  const program = new Command('backup-agent')
    .description('Hands a complete backup of this database host to whoever asks for it over the network.')
    .version(PRODUCT_VERSION, '-V, --version', 'print the version')
    .showHelpAfterError('(backup-agent --help says more)')
  program
    .command('serve')
    .description('listen, and serve one backup at a time until SIGTERM')
    .addOption(
      new Option('--listen <HOST:PORT>', 'address to listen on; port 0 lets the system choose')
        .default({ host: DEFAULT_HOST, port: DEFAULT_PORT }, `${DEFAULT_HOST}:${DEFAULT_PORT}`)
        .argParser(parseAddress()),
    )
    .addOption(
      new Option('--engine <NAME>', 'what makes the backup: auto takes a given --directory, else what is installed')
        .choices(ENGINE_CHOICES)
        .default('auto'),
    )
    .option('--directory <DIR>', 'data directory of a stopped server, or a snapshot, for the engine "directory"')
    .option('--socket <FILE>', 'local socket of the server')
    .option('--defaults-file <FILE>', 'option file for the backup program; may hold the login, then clients need none')
    .option('--datadir <DIR>', 'data directory of the running server, where the backup program cannot ask it')
    .option(
      '--spool-dir <DIR>',
      'where parts wait whose size is not known yet (unlinked files)',
      DEFAULT_SPOOL_DIRECTORY,
    )
    .addOption(bytesOption('--spool-bytes <N>', 'most bytes there', DEFAULT_SPOOL_BYTES, 0))
    .addOption(
      bytesOption('--memory-bytes <N>', 'most bytes of them in memory', DEFAULT_MEMORY_BYTES, MIN_MEMORY_BYTES),
    )
    .addOption(
      bytesOption('--spill-bytes <N>', 'most bytes there that a slow client leaves behind', DEFAULT_SPILL_BYTES, 0),
    )
    .option('--state-dir <DIR>', `where the history is kept (${STATE_DIRECTORY_RULE})`)
    .option('--no-history', 'remember nothing beyond the life of this agent')
    .addOption(new Option('--log-level <L>', 'least severe lines to log').choices(LOG_LEVELS).default('info'))
    .addHelpText('after', SERVE_EXAMPLES)
    .action(serve)
  const command = program.commands[0] as Command
  for (const [name, [description, min]] of Object.entries(DEADLINES)) {
    command.addOption(secondsOption(name as keyof Deadlines, description, min))
  }
  return program.addCommand(historyCommand())
}

/** Every deadline is an option: what it guards, and the least that makes sense. */
const DEADLINES: Readonly<Record<keyof Deadlines, readonly [description: string, min: number]>> = {
  request: ['how long a client may take to send its request', 1],
  start: ['how long the backup program may take to its first byte', 1],
  lockWait: ['how long the backup program may wait for a lock of the server', 1],
  hang: ['how long the backup program may give no sign of life', 1],
  locked: ['while the server is blocked: how long the backup program may do nothing, or a client take nothing', 1],
  stall: ['how long a client may take nothing while nothing is blocked', 1],
  network: ["how long the client's machine may answer nothing at all", 1],
  receipt: ['how long a client may take to confirm a complete backup', 1],
  drain: ['after SIGTERM, how long a running backup may take before it is cancelled', 0],
}

const secondsOption = (name: keyof Deadlines, description: string, min: number): Option =>
  new Option(`--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}-seconds <N>`, description)
    .default(DEFAULT_SECONDS[name])
    .argParser(parseCount('seconds', min))

const bytesOption = (flags: string, description: string, value: number, min: number): Option =>
  new Option(flags, description).default(value, formatBytes(value)).argParser(parseCount('bytes', min))

const SERVE_EXAMPLES = `
Examples:
  backup-agent serve
      for the MariaDB or MySQL server of this host, to clients on this host
  backup-agent serve --socket /run/mysqld/mysqld.sock --defaults-file /etc/backup-agent/login.cnf
      the login stays on this host; clients send none
  backup-agent serve --directory /srv/snapshot/mysql
      nothing installed: hands out a stopped server's directory

Signals: SIGTERM, SIGINT and SIGHUP take no new work and let a running backup end; a second one cancels it.
Log: JSON lines on standard error, readable ones on a terminal.`

const serve = async (options: ServeOptions): Promise<void> => {
  const { listen, engine, spoolDir, spoolBytes, spillBytes, memoryBytes } = options
  const { directory, socket, defaultsFile, datadir } = options
  const log = await createLogger({ level: options.logLevel, name: 'backup-agent', pretty: process.stderr.isTTY })
  const seconds = Object.fromEntries(
    Object.keys(DEADLINES).map((name) => [name, options[`${name as keyof Deadlines}Seconds`]]),
  ) as unknown as Deadlines
  const settings: AgentSettings = {
    ...listen,
    engine,
    spoolDirectory: spoolDir,
    spoolBytes,
    spillBytes,
    memoryBytes,
    seconds,
    ...(options.history ? { stateDirectory: options.stateDir ?? ownStateDirectory() } : {}),
    ...(directory === undefined ? {} : { directory }),
    ...(socket === undefined ? {} : { socket }),
    ...(defaultsFile === undefined ? {} : { defaultsFile }),
    ...(datadir === undefined ? {} : { datadir }),
  }
  const starting = startAgent(settings, log)
  // Before the agent says that it listens: from then on it may be told to stop.
  const stopped = untilStopped(starting, log)
  await starting
  await stopped
}

/** The first signal stops gently, the next one cancels. Rejects, unheard, when the agent has never started. */
const untilStopped = (starting: Promise<RunningAgent>, log: Logger): Promise<void> => {
  const stopped = new Promise<void>((resolve, reject) => {
    let signals = 0
    const onSignal = (name: NodeJS.Signals): void => {
      signals += 1
      log.info({ signal: name }, signals === 1 ? 'told to stop' : 'told to stop at once')
      const isFirst = signals === 1
      const obeyed = starting.then((agent) =>
        isFirst ? agent.stop() : agent.cancel(`the agent was told to stop at once (${name})`),
      )
      if (isFirst) obeyed.then(resolve, reject)
      else obeyed.catch(() => undefined) // the first one says why
    }
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal).on('SIGHUP', onSignal)
  })
  stopped.catch(() => undefined)
  return stopped
}
