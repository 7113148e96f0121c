/**
 * What an operator may write behind `--log`, read and refused.
 *
 *     stderr · journal · syslog · none · file:/absolute/path
 *
 * Pure.
 */

import { isAbsolute } from 'node:path'

import { BackupError } from '../errors/index.ts'

export type LogTarget =
  | { readonly kind: 'stderr' | 'journal' | 'syslog' | 'none' }
  | { readonly kind: 'file'; readonly path: string }

export const LOG_TARGET_FORM = 'stderr, journal, syslog, none or file:/absolute/path'

const PREFIX = 'file:'

/** @throws BackupError `CLI_USAGE` */
export const parseLogTarget = (text: string): LogTarget => {
  if (text === 'stderr' || text === 'journal' || text === 'syslog' || text === 'none') return { kind: text }
  const path = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : ''
  if (!isAbsolute(path)) throw new BackupError('CLI_USAGE', `expected ${LOG_TARGET_FORM} for the log, found "${text}"`)
  return { kind: 'file', path }
}
