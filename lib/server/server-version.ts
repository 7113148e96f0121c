/**
 * Which server it is, by the version it says. Pure.
 *
 *     10.11.19-MariaDB-0+deb12u1-log   MariaDB
 *     8.0.36-28                        MySQL, or Percona Server
 */

import { BackupError } from '../errors/index.ts'
import type { ServerVersion } from './types.ts'

/** @throws BackupError `SERVER_QUERY` when there is no version in it */
export const parseServerVersion = (text: string, comment = ''): ServerVersion => {
  // Some proxies put 5.5.5- before the version of MariaDB, as its own handshake does.
  const found = /^(?:5\.5\.5-)?(\d+)\.(\d+)\.(\d+)/.exec(text)
  if (found === null) {
    throw new BackupError('SERVER_QUERY', `expected a version of the server, found "${text.slice(0, 40)}"`)
  }
  const [, major, minor, patch] = found.map(Number) as [number, number, number, number]
  return { text, isMariaDb: /mariadb/i.test(`${text} ${comment}`), major, minor, patch }
}

export const isAtLeast = (
  { major, minor, patch }: ServerVersion,
  ...[wantedMajor, wantedMinor, wantedPatch]: [number, number, number]
): boolean =>
  major !== wantedMajor ? major > wantedMajor : minor !== wantedMinor ? minor > wantedMinor : patch >= wantedPatch
