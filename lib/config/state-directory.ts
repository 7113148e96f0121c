/**
 * Where the agent remembers, when nobody says where.
 *
 *     $STATE_DIRECTORY                    systemd made it for this service
 *     /var/lib/kv-backup-agent            for root, and for the user to whom it belongs
 *     $XDG_STATE_HOME/kv-backup-agent     for everybody else; $HOME/.local/state where that is not set
 *
 * All who ask get their answer here, so that `history` reads what `serve` has written. Makes
 * nothing, and promises nothing about the directory: whoever opens it looks at it.
 *
 * Source: systemd.exec(5), "StateDirectory="; XDG Base Directory Specification, 0.8.
 */

import { lstatSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'

const NAME = 'kv-backup-agent'
const SYSTEM_DIRECTORY = `/var/lib/${NAME}`

/** The same, for a help text: what it says must not depend on the machine it was printed on. */
export const STATE_DIRECTORY_RULE = `what systemd gave, ${SYSTEM_DIRECTORY} for root or its owner, else in $XDG_STATE_HOME`

/**
 * Pure.
 *
 * @param uid effective, of the process that asks
 * @param isUsable whether there is such a directory and it belongs to `uid`
 * @returns an absolute path. Where nobody has a home it is that of the system: the failure to make it names the
 *   place where it ought to be
 */
export const defaultStateDirectory = (
  environment: Readonly<Record<string, string | undefined>>,
  uid: number,
  isUsable: (directory: string) => boolean,
): string => {
  // Several are separated by colons, in the order of the unit file.
  const given = absolute(environment['STATE_DIRECTORY']?.split(':')[0])
  if (given !== undefined) return given
  if (uid === 0 || isUsable(SYSTEM_DIRECTORY)) return SYSTEM_DIRECTORY
  const home = absolute(environment['HOME'])
  const stateHome = absolute(environment['XDG_STATE_HOME']) ?? (home && join(home, '.local', 'state'))
  return stateHome === undefined ? SYSTEM_DIRECTORY : join(stateHome, NAME)
}

/** `defaultStateDirectory` for this process. */
export const ownStateDirectory = (): string => {
  const uid = process.geteuid?.() ?? 0
  return defaultStateDirectory(process.env, uid, (directory) => belongsTo(uid, directory))
}

/** A link is not followed: whoever opens the state directory refuses it too. */
export const belongsTo = (uid: number, directory: string): boolean => {
  try {
    const found = lstatSync(directory)
    return found.isDirectory() && found.uid === uid
  } catch {
    return false // not there, or not ours to look at
  }
}

/** A relative path would mean another directory wherever it is started. XDG: "ignore it". */
const absolute = (path: string | undefined): string | undefined =>
  path !== undefined && isAbsolute(path) ? path : undefined
