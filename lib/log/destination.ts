/**
 * Where log lines go. A log that cannot be written never ends a backup, and never makes it wait.
 *
 *     pino ─▶ safeLine: no secret that shows by its shape, no control character ─▶ descriptor · file · journal · syslog · nothing
 *
 * Lines that are lost are counted, and the count is said in the first line that gets through again.
 */

import { withoutSecrets } from './secret-shapes.ts'

export interface LogDestination {
  /** One line with its LF. Never throws. */
  write(line: string): void
  /** A log file was moved away: begin a new one. */
  reopen(): void
  /** Resolves when what was written has left this process, or when that has had time enough. Never rejects. */
  close(): Promise<void>
}

/** For `--log none`, and for whoever may write nowhere. */
export const noDestination: LogDestination = {
  write: () => {},
  reopen: () => {},
  close: async () => {},
}

/**
 * JSON leaves DEL, the C1 controls and the Unicode line breaks as they are: a terminal obeys some, and some
 * readers break lines there. They stand in strings alone, where an escape means the same.
 */
export const safeLine = (line: string): string =>
  withoutSecrets(line).replace(UNSAFE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)

const UNSAFE = /[\u007f-\u009f\u2028\u2029]/g

/** The line that says that others were lost. */
export const lostLine = (lines: number): string =>
  `{"level":"warn","msg":"${lines} log lines before this one were lost"}\n`
