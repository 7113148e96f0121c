/**
 * Where an operator may want the log, read and shown.
 *
 *     stderr · journal · syslog · none · file:/absolute/path
 *
 * Pure.
 */

import { isAbsolute } from 'node:path'

export type LogTarget =
  | { readonly kind: 'stderr' | 'journal' | 'syslog' | 'none' }
  | { readonly kind: 'file'; readonly path: string }

export const LOG_TARGET_FORM = 'stderr, journal, syslog, none or file:/absolute/path'

const PREFIX = 'file:'

/** @returns undefined when it is none of them */
export const readLogTarget = (text: string): LogTarget | undefined => {
  if (text === 'stderr' || text === 'journal' || text === 'syslog' || text === 'none') return { kind: text }
  const path = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : ''
  return isAbsolute(path) ? { kind: 'file', path } : undefined
}

export const showLogTarget = (target: LogTarget): string =>
  target.kind === 'file' ? `${PREFIX}${target.path}` : target.kind
