/**
 * Keeps this process, and every program that it starts from now on, from leaving a core file.
 *
 *     /proc/self/limits  "Max core file size  0  unlimited" ─▶ prlimit --pid N --core=0:0 ─▶ 0  0, inherited
 *
 * A core holds passwords and rows. Node has neither setrlimit(2) nor prctl(2), so a program of
 * util-linux does it. The unit of systemd says LimitCORE=0 already: then nothing is started.
 * What is gone with the hard limit nobody below us brings back. Where cores go to a program
 * (core_pattern begins with "|") the limit is that program's to obey; systemd-coredump does.
 *
 * Source: prlimit(1), core(5).
 */

import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'

import { cleanEnvironment, DEFAULT_SEARCH_PATH } from './clean-environment.ts'
import { findHostProgram } from './host-guards.ts'

const DEADLINE_MS = 10_000

/**
 * Never rejects.
 *
 * @returns why cores may still be made; undefined when none will be
 */
export const forbidCoreDumps = async (): Promise<string | undefined> => {
  try {
    if (mayDump()) {
      const prlimit = findHostProgram('prlimit')
      if (prlimit === undefined) return 'prlimit (util-linux) is missing'
      const { execFile } = await import('node:child_process') // most hosts allow no cores anyway, and start nothing
      await promisify(execFile)(prlimit, ['--pid', `${process.pid}`, '--core=0:0'], {
        env: cleanEnvironment(DEFAULT_SEARCH_PATH, undefined),
        timeout: DEADLINE_MS,
      })
      if (mayDump()) return 'prlimit changed nothing'
    }
    return undefined
  } catch (error) {
    return String((error as Error).message).trim()
  }
}

/** A soft limit of 0 that may be raised is none: mariadb-backup has an option for that. */
const mayDump = (): boolean => !/^Max core file size +0 +0 /m.test(readFileSync('/proc/self/limits', 'utf8'))
