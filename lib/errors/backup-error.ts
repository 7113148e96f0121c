/**
 * The one error class for failures we foresee. The codes are in `catalogue.ts`.
 *
 * Callers branch on `code`, people read `message`, logs keep `facts`, and `hint`
 * says what to do about it. None of the four ever holds a secret.
 */

import { CATALOGUE, type ErrorCode, type ExitStatus } from './catalogue.ts'

/** What a log line keeps about a failure: bytes, milliseconds, line numbers, names. Never a secret. */
export type Facts = Readonly<Record<string, string | number | boolean | null | readonly string[]>>

export interface BackupErrorOptions extends ErrorOptions {
  /** What the reader can do about it: one sentence, with the command or option if there is one. */
  readonly hint?: string
}

/**
 * Raised for every failure we foresee; anything else that is thrown is a bug.
 *
 * The message starts in lower case, has no full stop, and says what was expected,
 * what was found and where.
 */
export class BackupError extends Error {
  static {
    // On the prototype, so that a logged error does not carry its class name as a field.
    Object.defineProperty(BackupError.prototype, 'name', { value: 'BackupError' })
  }

  readonly code: ErrorCode
  readonly facts: Facts
  readonly hint: string | undefined

  constructor(code: ErrorCode, message: string, facts: Facts = {}, options: BackupErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.facts = facts
    this.hint = options.hint
  }

  /** Process exit status for this failure. Source: `CATALOGUE`. */
  get exitStatus(): ExitStatus {
    return CATALOGUE[this.code].exit
  }
}
