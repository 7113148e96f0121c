/**
 * The one logger: pino, JSON lines to where the caller wants them, readable ones on a terminal.
 *
 * Never writes to standard output: under inetd that is the client's socket, and for
 * `backup-client fetch --out -` it is the backup. Requests are never logged whole;
 * the redaction here is the second fence, for whoever forgets.
 */

import { type Logger as PinoLogger, pino } from 'pino'

import { descriptorDestination } from './descriptor-destination.ts'
import { type LogDestination, noDestination } from './destination.ts'
import { withoutSecrets } from './secret-shapes.ts'

/** What the other rooms are given. */
export type Logger = Pick<PinoLogger, 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'child' | 'level'>

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

const STDERR_DESCRIPTOR = 2

/** Names under which a secret could ever stand in a logged object, at the top and one or two levels down. */
const SECRET_NAMES = ['password', 'pass', 'secret', 'token', 'agent-token', 'authorization']
const REDACTED_PATHS = SECRET_NAMES.flatMap((name) => {
  const key = name.includes('-') ? `["${name}"]` : name
  const below = key.startsWith('[') ? key : `.${name}`
  return [key, `*${below}`, `*.*${below}`]
})

/** What a token of an agent looks like, wherever in a line it stands. Source: protocol/agent-token.ts. */
const TOKENS = /kvb_[0-9A-Za-z]{20,}/g

export interface LoggerOptions {
  readonly level: LogLevel
  /** Name of the program, in every line. */
  readonly name: string
  /** Readable lines instead of JSON; the caller knows whether standard error is a terminal. */
  readonly pretty?: boolean
  /** Standard error, when it is left out. */
  readonly destination?: LogDestination
}

/**
 * Makes the program's logger.
 *
 * Lines on standard error and in a file are written synchronously, so that the last one before a crash is not lost.
 */
export const createLogger = async ({
  level,
  name,
  pretty = false,
  destination = descriptorDestination(STDERR_DESCRIPTOR),
}: LoggerOptions): Promise<Logger> => {
  const options = {
    level,
    name,
    redact: { paths: REDACTED_PATHS, censor: '[redacted]' },
    formatters: { level: (label: string) => ({ level: label }) },
    timestamp: pino.stdTimeFunctions.isoTime,
    hooks: { streamWrite: (line: string) => line.replace(TOKENS, 'kvb_[redacted]') },
  }
  if (!pretty) {
    const logger: Logger = pino(options, destination)
    return logger
  }

  // Loaded only where a person looks: it costs more to load than the rest of the logger.
  const { prettyFactory } = await import('pino-pretty')
  const readable = prettyFactory({ ignore: 'pid,hostname,name' })
  const logger: Logger = pino(options, {
    // Looked at while it is JSON, where a text has an end; its colours come later.
    write: (line: string) => destination.write(readable(withVisibleControls(withoutSecrets(line)))),
  })
  return logger
}

/** An escape or a small letter behind a backslash is what a terminal would obey once it is undone. LF and TAB are not. */
const withVisibleControls = (line: string): string =>
  line.replace(/\\(?:(u00[01][0-9a-f]|[bfr])|[\s\S])/gi, (whole, control?: string) =>
    control === undefined ? whole : `\\\\${control}`,
  )

/** A logger that says nothing: for the library, whose caller gave none. */
export const silentLogger = (): Logger => pino({ level: 'silent' }, noDestination)
