/**
 * The options that say what an agent is, whoever brings its connections; and the settings they make.
 */

import { type Command, Option } from 'commander'

import {
  type AgentSettings,
  DEFAULT_MEMORY_BYTES,
  DEFAULT_SECONDS,
  DEFAULT_SPILL_BYTES,
  DEFAULT_SPOOL_BYTES,
  DEFAULT_SPOOL_DIRECTORY,
  type Deadlines,
  ENGINE_CHOICES,
  type EngineChoice,
  ownStateDirectory,
  STATE_DIRECTORY_RULE,
} from '../config/index.ts'
import { LOG_LEVELS, type LogLevel } from '../log/index.ts'
import { formatBytes, parseCount } from './values.ts'

export interface AgentOptions extends Readonly<Record<`${keyof Deadlines}Seconds`, number>> {
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

/** Adds the options to a command, in the order of its help. */
export const addAgentOptions = (command: Command): Command => {
  command
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
  for (const [name, [description, min]] of Object.entries(DEADLINES)) {
    command.addOption(secondsOption(name as keyof Deadlines, description, min))
  }
  return command
}

/** Everything but where the connections come from. */
export const settingsOf = (options: AgentOptions): Omit<AgentSettings, 'host' | 'port'> => {
  const { engine, spoolDir, spoolBytes, spillBytes, memoryBytes } = options
  const { directory, socket, defaultsFile, datadir } = options
  const seconds = Object.fromEntries(
    Object.keys(DEADLINES).map((name) => [name, options[`${name as keyof Deadlines}Seconds`]]),
  ) as unknown as Deadlines
  return {
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
