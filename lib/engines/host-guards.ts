/**
 * The two programs of the host that stand around a backup program: `setpriv` and `flock`, both of util-linux.
 *
 *     setpriv --pdeathsig KILL --     the kernel kills the program when we die
 *     sh -c … sh OUR-PID              and if we had died before that was said, it does not begin
 *     flock -n -E 75 -F -- LOCK       one program per lock; -F: by exec, so the lock is the program's own
 *     mariadb-backup …
 *
 * Each becomes the next by exec: same pid, same group, and in the end the program's own
 * command line. The lock is on a descriptor that only the program has: it is free when
 * the program is gone, however it went, and we cannot lose it or keep it.
 *
 * A host without one of them does without: `hostGuards` says so. Syntax: setpriv(1), flock(1).
 */

import { accessSync, constants, realpathSync } from 'node:fs'
import { basename } from 'node:path'

/** What this host offers. */
export interface HostGuards {
  /** A backup program cannot outlive an agent that is killed. */
  readonly pdeathsig: boolean
  /** Backups of one server exclude each other, also those of other agents. */
  readonly lock: boolean
}

/** `flock` ends with this when somebody else holds the lock: EX_TEMPFAIL of sysexits.h, which no backup program uses. */
export const LOCK_HELD_EXIT = 75

/** Fixed, so that no search path decides what runs around a child. */
const DIRECTORIES = ['/usr/bin', '/bin']

export const hostGuards = (): HostGuards => ({
  pdeathsig: findHostProgram('setpriv') !== undefined,
  lock: findHostProgram('flock') !== undefined,
})

/**
 * The words in front of a program. Empty where the host has neither.
 *
 * @param lock absolute path of the file or directory to lock, or `undefined` for no lock
 */
export const guardWords = (lock: string | undefined): string[] => {
  const setpriv = findHostProgram('setpriv')
  const flock = lock === undefined ? undefined : findHostProgram('flock')
  return [
    ...(setpriv === undefined ? [] : [setpriv, '--pdeathsig', 'KILL', '--', ...unlessOrphaned()]),
    // After LOCK comes the program: a `--` there would be taken for its name.
    ...(flock === undefined || lock === undefined ? [] : [flock, '-n', '-E', `${LOCK_HELD_EXIT}`, '-F', '--', lock]),
  ]
}

/** Who was killed before `setpriv` had asked for the signal never causes one. Source: prctl(2), PR_SET_PDEATHSIG. */
const unlessOrphaned = (): string[] => {
  const shell = findHostProgram('sh')
  if (shell === undefined) return []
  return [shell, '-c', '[ "$PPID" = "$1" ] && shift && unset PWD OLDPWD && exec "$@"', 'sh', `${process.pid}`]
}

/** Absolute path of a program of the host; undefined where there is none. */
export const findHostProgram = (name: string): string | undefined =>
  DIRECTORIES.map((directory) => `${directory}/${name}`).find(isUsable)

/** Busybox has both under the same names, and knows none of these options. */
const isUsable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return basename(realpathSync(path)) !== 'busybox'
  } catch {
    return false
  }
}
