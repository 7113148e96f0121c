/**
 * May the backup program have every table open at once?
 *
 * mariadb-backup opens all tablespaces when it starts. Node has raised its own soft limit to
 * the hard one, and programs that it starts inherit that. Source: proc(5), "/proc/pid/limits".
 */

import { readFileSync } from 'node:fs'

import { type Finding, fail, ok } from './finding.ts'

/** What the programs have open beside tables: sockets, logs, libraries. */
const OTHERS = 100

/** @param tables files of tablespaces; 0 where nobody could count them */
export const checkOpenFiles = (tables: number, limits = readFileSync('/proc/self/limits', 'utf8')): Finding => {
  const limit = Number(/^Max open files +\d+ +(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY)
  const wanted = tables + OTHERS
  const facts = { limit: Number.isFinite(limit) ? limit : null, tables }
  if (limit >= wanted) return ok('open files', `${Number.isFinite(limit) ? limit : 'any number'} allowed`, facts)
  return fail(
    'open files',
    `${limit} allowed, and the backup program opens all ${tables} tables at once`,
    `allow ${wanted * 2}: LimitNOFILE= in the unit, rlimit_files for xinetd, ulimit -n`,
    facts,
  )
}
