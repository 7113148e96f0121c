/**
 * What one look at the host has found: a name, a result, a fact, and what to do about it.
 *
 * `fail` means that backups will fail, or that there will be none. `warn` is for what costs
 * something, or could not be looked at; nobody is woken for it.
 */

import { BackupError, type Facts } from '../errors/index.ts'

export type Result = 'ok' | 'warn' | 'fail'

export interface Finding {
  /** What was looked at: a few words that never change, scripts look for them. */
  readonly check: string
  readonly result: Result
  /** Which server, where the agent has several. */
  readonly instance?: string
  /** One clause, without a full stop. */
  readonly found: string
  /** What to do: a command or an option, where there is one. */
  readonly todo?: string
  /** Numbers behind it, for scripts. */
  readonly facts?: Facts
}

export const ok = (check: string, found: string, facts?: Facts): Finding => ({
  check,
  result: 'ok',
  found,
  ...(facts === undefined ? {} : { facts }),
})

export const warn = (check: string, found: string, todo: string, facts?: Facts): Finding => ({
  ...ok(check, found, facts),
  result: 'warn',
  todo,
})

export const fail = (check: string, found: string, todo: string, facts?: Facts): Finding => ({
  ...warn(check, found, todo, facts),
  result: 'fail',
})

/** What failed as it would fail in a backup. Anything but a foreseen failure is thrown on. */
export const failedWith = (check: string, error: unknown): Finding => {
  if (!(error instanceof BackupError)) throw error
  const { code, message, hint, facts } = error
  return fail(check, message, hint ?? 'look it up by its code', { code, ...facts })
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** `1.4 GiB` */
export const inBytes = (bytes: number): string => {
  const power = bytes < 1024 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1)
  return `${power === 0 ? Math.round(bytes) : (bytes / 1024 ** power).toFixed(1)} ${UNITS[power]}`
}
